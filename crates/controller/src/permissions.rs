//! Who calls, and what each call needs: one table from RPC to permission, and roles as data.
//!
//! Absent on purpose: how a caller proves who it is; that is `rpc::gate`.
//!
//! INVARIANT: an RPC that is not in the table is refused; a test holds the table against the descriptor.

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Health and reflection: nothing about any customer.
    Public,
    ReadCatalog,
    ReadTargets,
    WriteTargets,
    ReadAccounts,
    WriteAccounts,
    ReadDiagnoses,
    /// Starts and ends diagnoses; these may spend logons.
    RunDiagnoses,
    ReadFleet,
    /// Drains agents and lets them go on; nothing is lost by it.
    DrainFleet,
    /// Lets agents join and shuts them out.
    WriteFleet,
}

/// A set of permissions with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    /// What the role may do.
    pub fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Viewer => {
                &[P::Public, P::ReadCatalog, P::ReadTargets, P::ReadDiagnoses, P::ReadFleet]
            }
            Self::Operator => &[
                P::Public,
                P::ReadCatalog,
                P::ReadTargets,
                P::ReadAccounts,
                P::ReadDiagnoses,
                P::RunDiagnoses,
                P::ReadFleet,
                P::DrainFleet,
            ],
            Self::Admin => &[
                P::Public,
                P::ReadCatalog,
                P::ReadTargets,
                P::WriteTargets,
                P::ReadAccounts,
                P::WriteAccounts,
                P::ReadDiagnoses,
                P::RunDiagnoses,
                P::ReadFleet,
                P::DrainFleet,
                P::WriteFleet,
            ],
        }
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// As it stands in audits and in `Diagnosis.principal`.
    pub name: String,
    pub role: Role,
}

impl Principal {
    /// Whoever holds the controller's own token.
    pub fn token_holder() -> Self {
        Self { name: "token".to_owned(), role: Role::Admin }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.role.permissions().contains(&permission)
    }
}

/// How long an RPC may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// The general deadline and cap.
    Short,
    /// Exempt: it waits for a diagnosis or streams.
    Long,
}

/// Which rate a call spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Read,
    Write,
    /// Starts a diagnosis.
    Run,
}

impl Class {
    const fn of(permission: Permission) -> Self {
        use Permission as P;
        match permission {
            P::Public
            | P::ReadCatalog
            | P::ReadTargets
            | P::ReadAccounts
            | P::ReadDiagnoses
            | P::ReadFleet => Self::Read,
            P::WriteTargets | P::WriteAccounts | P::DrainFleet | P::WriteFleet => Self::Write,
            P::RunDiagnoses => Self::Run,
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// As `/parallax.v1.TargetService/GetTarget`.
    pub path: &'static str,
    pub permission: Permission,
    pub class: Class,
    pub length: Length,
}

impl Rule {
    /// One that spends another rate than its permission says.
    const fn counted_as(mut self, class: Class) -> Self {
        self.class = class;
        self
    }
}

const fn short(path: &'static str, permission: Permission) -> Rule {
    Rule { path, permission, class: Class::of(permission), length: Length::Short }
}

const fn long(path: &'static str, permission: Permission) -> Rule {
    Rule { path, permission, class: Class::of(permission), length: Length::Long }
}

/// What each RPC needs.
pub(crate) const RULES: &[Rule] = &[
    short("/parallax.v1.DiagnosisService/CreateDiagnosis", Permission::RunDiagnoses),
    long("/parallax.v1.DiagnosisService/Diagnose", Permission::RunDiagnoses),
    short("/parallax.v1.DiagnosisService/GetDiagnosis", Permission::ReadDiagnoses),
    short("/parallax.v1.DiagnosisService/ListDiagnoses", Permission::ReadDiagnoses),
    long("/parallax.v1.DiagnosisService/WatchDiagnosis", Permission::ReadDiagnoses),
    short("/parallax.v1.DiagnosisService/CancelDiagnosis", Permission::RunDiagnoses)
        .counted_as(Class::Write),
    short("/parallax.v1.TargetService/CreateTarget", Permission::WriteTargets),
    short("/parallax.v1.TargetService/GetTarget", Permission::ReadTargets),
    short("/parallax.v1.TargetService/ListTargets", Permission::ReadTargets),
    short("/parallax.v1.TargetService/UpdateTarget", Permission::WriteTargets),
    short("/parallax.v1.TargetService/DeleteTarget", Permission::WriteTargets),
    short("/parallax.v1.AccountService/CreateAccount", Permission::WriteAccounts),
    short("/parallax.v1.AccountService/GetAccount", Permission::ReadAccounts),
    short("/parallax.v1.AccountService/ListAccounts", Permission::ReadAccounts),
    short("/parallax.v1.AccountService/RotateAccount", Permission::WriteAccounts),
    short("/parallax.v1.AccountService/ReleaseAccount", Permission::WriteAccounts),
    short("/parallax.v1.AccountService/DeleteAccount", Permission::WriteAccounts),
    short("/parallax.v1.FleetService/CreateJoinToken", Permission::WriteFleet),
    short("/parallax.v1.FleetService/GetAgent", Permission::ReadFleet),
    short("/parallax.v1.FleetService/ListAgents", Permission::ReadFleet),
    short("/parallax.v1.FleetService/DrainAgent", Permission::DrainFleet),
    short("/parallax.v1.FleetService/ResumeAgent", Permission::DrainFleet),
    short("/parallax.v1.FleetService/BanAgent", Permission::WriteFleet),
    short("/parallax.v1.FleetService/DeleteAgent", Permission::WriteFleet),
    short("/parallax.v1.CatalogService/GetFault", Permission::ReadCatalog),
    short("/parallax.v1.CatalogService/ListFaults", Permission::ReadCatalog),
    short("/grpc.health.v1.Health/Check", Permission::Public),
    short("/grpc.health.v1.Health/List", Permission::Public),
    long("/grpc.health.v1.Health/Watch", Permission::Public),
    long("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Permission::Public),
    long("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Permission::Public),
];

/// The rule of a path; `None`: there is no such RPC.
pub(crate) fn rule(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|it| it.path == path)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn roles_only_grow() {
        for permission in Role::Viewer.permissions() {
            assert!(Role::Operator.permissions().contains(permission), "{permission:?}");
        }
        for permission in Role::Operator.permissions() {
            assert!(Role::Admin.permissions().contains(permission), "{permission:?}");
        }
        assert!(
            !Principal { name: "eve".to_owned(), role: Role::Viewer }.may(Permission::RunDiagnoses)
        );
    }

    #[test]
    fn no_path_stands_twice() {
        let paths: std::collections::BTreeSet<_> = RULES.iter().map(|it| it.path).collect();
        assert_eq!(paths.len(), RULES.len());
    }

    #[test]
    fn every_rpc_of_the_public_descriptor_has_a_rule() {
        let files = prost_types::FileDescriptorSet::decode(parallax_wire::pb::DESCRIPTORS)
            .expect("descriptors")
            .file;
        assert!(files.iter().all(|it| !it.package().starts_with("parallax.agent")));
        let mut paths = Vec::new();
        for file in files.iter().filter(|it| it.package() == "parallax.v1") {
            for service in &file.service {
                for method in &service.method {
                    paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        assert!(paths.len() >= 17, "{paths:?}");
        for path in &paths {
            let rule = rule(path).unwrap_or_else(|| panic!("no rule for {path}"));
            assert_ne!(rule.permission, Permission::Public, "{path}");
        }
        let ours = RULES.iter().filter(|it| it.path.starts_with("/parallax.v1."));
        assert!(
            ours.clone().all(|it| paths.iter().any(|path| path == it.path)),
            "a rule without an RPC"
        );
    }
}
