//! `keys`: makes the keys that the gateway signs with, and shows what others check its signatures with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

use crate::cli::print;
use crate::signing::keys::{KeyKind, SigningKey, generate, published};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Makes a private key, which only its owner may read, and prints its id.
    Generate {
        /// Where to write it, in PEM. Nothing is overwritten.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[arg(long, value_enum, default_value_t = Algorithm::Es256)]
        algorithm: Algorithm,
    },
    /// Prints the public halves of keys as JWKS.
    Show {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    #[value(name = "EdDSA", alias = "eddsa", help = "Ed25519")]
    EdDsa,
    #[value(name = "ES256", alias = "es256", help = "P-256; every library knows it")]
    Es256,
    #[value(name = "RS256", alias = "rs256", help = "RSA of 3072 bits; signing takes a millisecond")]
    Rs256,
}

pub(super) fn run(command: &Keys) -> anyhow::Result<ExitCode> {
    match command {
        Keys::Generate { file, algorithm } => {
            let kind = match algorithm {
                Algorithm::EdDsa => KeyKind::EdDsa,
                Algorithm::Es256 => KeyKind::Es256,
                Algorithm::Rs256 => KeyKind::Rs256,
            };
            let pem = generate(kind)?;
            let key = SigningKey::parse(pem.as_bytes())?;
            write_private(file, &pem).with_context(|| format!("cannot write {}", file.display()))?;
            print(key.id())?;
        }
        Keys::Show { files } => {
            let keys = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
            print(&format!("{:#}", published(&keys)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_private(file: &Path, pem: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

fn read(file: &Path) -> anyhow::Result<SigningKey> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    SigningKey::parse(&pem).map_err(|error| anyhow::anyhow!("`{}` {error}", file.display()))
}
