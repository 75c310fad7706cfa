//! `parallax account`: registers, rotates, releases, lists, shows and deletes test accounts.
//!
//! INVARIANT: the secret is asked for after everything else was found right, and goes into one request only.

use parallax_process::ExitCode;
use parallax_wire::pb::lockout_policy::{Never, Threshold};
use parallax_wire::pb::{self, Generation, NameForm};
use parallax_wire::{check_account, check_secret};

use super::{show_list, show_one};
use crate::cli::{
    AccountAddArguments, AccountCommand, AccountRotateArguments, ConnectionArguments,
    MailboxChoice, OutputArgument, ThresholdChoice,
};
use crate::client::{Client, PAGE_SIZE, call, every_page, refused, resource_name};
use crate::failure::{Failure, WrongField};
use crate::files;
use crate::render::{Screen, account_list, account_page, words};
use crate::running::until_interrupted;
use crate::secret::read_secret;

pub(super) fn run(command: AccountCommand, screen: &Screen) -> Result<ExitCode, Failure> {
    match command {
        AccountCommand::Add(arguments) => {
            let account = read_account(&arguments)?;
            until_interrupted(add(account, &arguments, screen))
        }
        AccountCommand::Rotate(arguments) => {
            let name = resource_name("accounts", &arguments.account)?;
            let secret = checked(read_secret(&arguments.secret, &name)?)?;
            until_interrupted(rotate(name, secret, &arguments, screen))
        }
        AccountCommand::Release { account, reason, connection, output } => {
            let request =
                pb::ReleaseAccountRequest { name: resource_name("accounts", &account)?, reason };
            until_interrupted(release(request, &connection, output, screen))
        }
        AccountCommand::List { connection, output } => {
            until_interrupted(list(&connection, output, screen))
        }
        AccountCommand::Get { account, connection, output } => {
            until_interrupted(get(account, &connection, output, screen))
        }
        AccountCommand::Delete { account, connection, output } => {
            until_interrupted(delete(account, &connection, output, screen))
        }
    }
}

/// The account as flags or file describe it, found right, with its secret.
fn read_account(arguments: &AccountAddArguments) -> Result<pb::Account, Failure> {
    let mut account = match &arguments.file {
        Some(path) => {
            if files::is_stdin(path) && arguments.secret.secret_stdin {
                return Err(Failure::usage(
                    "stdin cannot hold both the account (-f -) and its secret (--secret-stdin)",
                ));
            }
            files::read_account(path)?
        }
        None => from_flags(arguments),
    };
    if let Some(id) = &arguments.account {
        account.name = resource_name("accounts", id)?;
    }
    check_account(&account).map_err(|violations| {
        let fields = violations
            .into_iter()
            .map(|it| WrongField { field: it.field, text: it.description })
            .collect();
        Failure::usage("nothing was sent, because the account has mistakes").fields(fields)
    })?;
    if account.secret.is_empty() {
        account.secret = checked(read_secret(&arguments.secret, &account.name)?)?;
    } else if arguments.secret != crate::cli::SecretArguments::default() {
        return Err(Failure::usage(
            "the file holds a secret, and a --secret option names another; give one of them",
        ));
    }
    Ok(account)
}

fn checked(secret: String) -> Result<String, Failure> {
    match check_secret(&secret, "secret") {
        Ok(()) => Ok(secret),
        Err(violation) => Err(Failure::usage("the secret cannot be used")
            .fields(vec![WrongField { field: violation.field, text: violation.description }])),
    }
}

fn from_flags(arguments: &AccountAddArguments) -> pb::Account {
    let names = &arguments.names;
    let forms = [
        (NameForm::Upn, &names.upn),
        (NameForm::Domain, &names.domain_user),
        (NameForm::Smtp, &names.mail),
        (NameForm::Bare, &names.bare),
    ];
    let user_names = forms
        .into_iter()
        .filter_map(|(form, login)| {
            let login = login.clone()?;
            Some(pb::UserName { form: form.into(), login })
        })
        .collect();
    pb::Account {
        directory: arguments.directory.clone().unwrap_or_default(),
        user_names,
        user_principal_name: names.user_principal_name.clone().unwrap_or_default(),
        mailbox: arguments.mailbox.map_or(Generation::Unspecified, generation).into(),
        lockout: Some(lockout_policy(
            arguments.lockout.lockout_threshold,
            arguments.lockout.lockout_window,
        )),
        ..pb::Account::default()
    }
}

fn generation(mailbox: MailboxChoice) -> Generation {
    match mailbox {
        MailboxChoice::Exchange2003 => Generation::Generation2003,
        MailboxChoice::Exchange2007 => Generation::Generation2007,
        MailboxChoice::Exchange2010 => Generation::Generation2010,
        MailboxChoice::Exchange2013 => Generation::Generation2013,
        MailboxChoice::Exchange2016 => Generation::Generation2016,
        MailboxChoice::Exchange2019 => Generation::Generation2019,
        MailboxChoice::SubscriptionEdition => Generation::Se,
        MailboxChoice::Online => Generation::Online,
        MailboxChoice::Other => Generation::Other,
    }
}

/// The policy as the API takes it.
pub(crate) fn lockout_policy(
    threshold: ThresholdChoice,
    window: Option<std::time::Duration>,
) -> pb::LockoutPolicy {
    pb::LockoutPolicy {
        threshold: match threshold {
            ThresholdChoice::Count(count) => Some(Threshold::Count(count)),
            ThresholdChoice::Never => Some(Threshold::Never(Never {})),
            ThresholdChoice::Unknown => None,
        },
        window: window.map(parallax_wire::encode_duration),
    }
}

fn show(
    account: &pb::Account,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let words = words(output.language.lang);
    show_one(screen, output.output, account, |it| account_page(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}

async fn add(
    account: pb::Account,
    arguments: &AccountAddArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let request = pb::CreateAccountRequest {
        account_id: account.name.trim_start_matches("accounts/").to_owned(),
        account: Some(account),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: arguments.validate_only,
    };
    let answer = client.accounts().create_account(call(request)).await;
    show(&answer.map_err(refused)?.into_inner(), arguments.output, screen)
}

async fn rotate(
    name: String,
    secret: String,
    arguments: &AccountRotateArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let request =
        pb::RotateAccountRequest { name, secret, request_id: uuid::Uuid::new_v4().to_string() };
    let answer = client.accounts().rotate_account(call(request)).await;
    show(&answer.map_err(refused)?.into_inner(), arguments.output, screen)
}

async fn release(
    request: pb::ReleaseAccountRequest,
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let answer = client.accounts().release_account(call(request)).await;
    show(&answer.map_err(refused)?.into_inner(), output, screen)
}

async fn list(
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let accounts = every_page(usize::MAX, async |page_token| {
        let request = pb::ListAccountsRequest { page_size: PAGE_SIZE, page_token };
        let page =
            client.accounts().list_accounts(call(request)).await.map_err(refused)?.into_inner();
        Ok((page.accounts, page.next_page_token))
    })
    .await?;
    let words = words(output.language.lang);
    show_list(screen, output.output, &accounts, |it| account_list(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}

async fn get(
    account: String,
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let request = pb::GetAccountRequest { name: resource_name("accounts", &account)? };
    let answer = client.accounts().get_account(call(request)).await;
    show(&answer.map_err(refused)?.into_inner(), output, screen)
}

async fn delete(
    account: String,
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let name = resource_name("accounts", &account)?;
    let request = pb::DeleteAccountRequest { name: name.clone() };
    client.accounts().delete_account(call(request)).await.map_err(refused)?;
    screen.narrate(&format!("{name}: {}", words(output.language.lang).deleted));
    Ok(ExitCode::Healthy)
}
