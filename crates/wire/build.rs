//! Compiles `proto/` without a system `protoc` (protox), into messages, clients, servers and `ProtoJSON`.
//!
//! The public package and the agents' package are compiled apart: only the first one gets JSON, and only its
//! descriptors are offered to reflection.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorSet;

const PUBLIC: &[&str] = &[
    "parallax/v1/account.proto",
    "parallax/v1/catalog.proto",
    "parallax/v1/diagnosis.proto",
    "parallax/v1/fleet.proto",
    "parallax/v1/report.proto",
    "parallax/v1/target.proto",
];
const AGENT: &[&str] = &["parallax/agent/v1/agent.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    for file in PUBLIC.iter().chain(AGENT) {
        println!("cargo::rerun-if-changed={}", protos.join(file).display());
    }
    println!("cargo::rerun-if-changed={}", protos.join("google").display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    let public = compile(&protos, PUBLIC)?;
    std::fs::write(out.join("parallax.v1.descriptors.bin"), &public)?;
    let public = FileDescriptorSet::decode(public.as_slice())?;
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        // One order, so that the same message is the same JSON.
        .btree_map(".")
        // These carry a secret; their `Debug` is written by hand.
        .skip_debug([
            ".parallax.v1.Account",
            ".parallax.v1.JoinToken",
            ".parallax.v1.RotateAccountRequest",
        ])
        .compile_fds(public.clone())?;
    let mut json = pbjson_build::Builder::new();
    for file in &public.file {
        json.register_file_descriptor(file.clone());
    }
    json.extern_path(".google.protobuf", "::pbjson_types").emit_fields().btree_map(["."]);
    json.build(&[".parallax.v1"])?;

    // A folder of its own: the files it imports would write over those above.
    let out = out.join("agent");
    std::fs::create_dir_all(&out)?;
    let agent = FileDescriptorSet::decode(compile(&protos, AGENT)?.as_slice())?;
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".parallax.v1", "crate::pb")
        .skip_debug([".parallax.agent.v1.EnrollRequest"])
        .out_dir(out)
        .compile_fds(agent)?;
    Ok(())
}

/// Descriptors of these files and all they import, encoded, with comments and every option kept.
fn compile(protos: &Path, files: &[&str]) -> Result<Vec<u8>, protox::Error> {
    let mut compiler = protox::Compiler::new([protos])?;
    compiler.include_imports(true).include_source_info(true);
    for file in files {
        compiler.open_file(file)?;
    }
    Ok(compiler.encode_file_descriptor_set())
}
