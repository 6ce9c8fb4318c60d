//! Seals secrets before they enter the log, and never shows one.
//!
//! The key lies in `DIR/secret.key`: a copy of the log without that file gives no secret away.

use anyhow::{Context, Result, bail, ensure};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::{fmt, io};

/// Bytes of `secret.key`.
pub const SECRET_KEY_LENGTH: usize = 32;

/// What sealing adds: the nonce in front, the tag behind.
pub const SEALED_OVERHEAD: usize = NONCE_LEN + 16;

const FILE_NAME: &str = "secret.key";
const FILE_NAME_NEW: &str = "secret.key.new";

/// A secret of a user. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The bytes were not sealed by this key for this purpose, or were changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSealedHere;

impl fmt::Display for NotSealedHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret was not sealed with this {FILE_NAME}")
    }
}

impl std::error::Error for NotSealedHere {}

/// Seals and unseals with one key.
pub struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// The sealer of a data directory; draws its key the first time.
    ///
    /// The caller holds the directory's lock. A crash in between leaves no half-written key: the
    /// file gets its name when it is whole and on disk.
    pub fn open_or_create(directory: &Path) -> Result<Sealer> {
        let path = directory.join(FILE_NAME);
        match read_key(&path) {
            Err(error) if is_missing(&error) => create_key(directory)?,
            read => return Ok(Sealer::in_memory(read?)),
        }
        Ok(Sealer::in_memory(read_key(&path)?))
    }

    /// The sealer of a data directory that has one; writes nothing.
    pub fn open(directory: &Path) -> Result<Option<Sealer>> {
        match read_key(&directory.join(FILE_NAME)) {
            Err(error) if is_missing(&error) => Ok(None),
            read => Ok(Some(Sealer::in_memory(read?))),
        }
    }

    /// A sealer whose key lies in no file.
    pub fn in_memory(key: [u8; SECRET_KEY_LENGTH]) -> Sealer {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map(LessSafeKey::new);
        let Ok(key) = key else { unreachable!("the key's length is the algorithm's") };
        Sealer { key, random: SystemRandom::new() }
    }

    /// Seals `secret` for the purpose that `aad` names: nonce, ciphertext, tag.
    pub fn seal(&self, secret: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok().context("the system gives no random bytes")?;
        let mut sealed = secret.to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce_used, Aad::from(aad), &mut sealed)
            .ok()
            .context("the secret is too long to seal")?;
        sealed.splice(0..0, nonce);
        Ok(sealed)
    }

    pub fn unseal(&self, sealed: &[u8], aad: &[u8]) -> Result<Secret, NotSealedHere> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NotSealedHere)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let secret = self.key.open_in_place(nonce, Aad::from(aad), &mut opened);
        secret.map(|secret| Secret::new(&*secret)).map_err(|_| NotSealedHere)
    }
}

/// Random bytes from the system, for keys and for the seed of a log.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random bytes")?;
    Ok(bytes)
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

fn read_key(path: &Path) -> Result<[u8; SECRET_KEY_LENGTH]> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let found = file.metadata().with_context(|| format!("cannot look at {shown}"))?;
    ensure!(found.is_file(), "{shown} is not a file");
    let mode = found.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{shown} may be read by others (mode {mode:03o}); allowed: 600 (chmod 600 {shown})"
    );
    let length = found.len();
    ensure!(
        length == SECRET_KEY_LENGTH as u64,
        "{shown} has {length} bytes; allowed: the {SECRET_KEY_LENGTH} bytes it was made with \
         (put the right file back; without it the secrets in the log are lost)"
    );
    let mut key = [0; SECRET_KEY_LENGTH];
    file.read_exact(&mut key).with_context(|| format!("cannot read {shown}"))?;
    Ok(key)
}

fn create_key(directory: &Path) -> Result<()> {
    let (path, new) = (directory.join(FILE_NAME), directory.join(FILE_NAME_NEW));
    let shown = path.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    // Left by a crash, never used: a key counts from the moment it has its name.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", new.display())
        }
        _ => {}
    }
    let key: [u8; SECRET_KEY_LENGTH] = random_bytes()?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::hard_link(&new, &path)?;
        fs::remove_file(&new)?;
        File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("cannot make {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder of its own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("outcry-seal-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_sealed_is_unsealed_only_for_its_purpose_and_whole() {
        let sealer = Sealer::in_memory([7; 32]);
        let sealed = sealer.seal(b"secret", b"key A").unwrap();
        assert_eq!(sealed.len(), 6 + SEALED_OVERHEAD);
        assert_eq!(sealer.unseal(&sealed, b"key A").unwrap().as_bytes(), b"secret");
        assert_eq!(sealer.unseal(&sealed, b"key B"), Err(NotSealedHere));
        assert_eq!(Sealer::in_memory([8; 32]).unseal(&sealed, b"key A"), Err(NotSealedHere));
        for length in 0..sealed.len() {
            assert_eq!(sealer.unseal(&sealed[..length], b"key A"), Err(NotSealedHere));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.unseal(&changed, b"key A"), Err(NotSealedHere), "byte {at}");
        }
        assert_ne!(sealed, sealer.seal(b"secret", b"key A").unwrap(), "each has its own nonce");
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {:?}", Sealer::in_memory([7; 32]));
        assert_eq!(shown, "*** *** Sealer(***)");
    }

    #[test]
    fn the_key_is_drawn_once_and_is_the_owners_alone() {
        let scratch = Scratch::new("once");
        assert!(Sealer::open(&scratch.0).unwrap().is_none());
        let sealed = Sealer::open_or_create(&scratch.0).unwrap().seal(b"secret", b"").unwrap();
        let again = Sealer::open_or_create(&scratch.0).unwrap();
        assert_eq!(again.unseal(&sealed, b"").unwrap().as_bytes(), b"secret");
        assert!(Sealer::open(&scratch.0).unwrap().unwrap().unseal(&sealed, b"").is_ok());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&scratch.0), mode(&scratch.0.join(FILE_NAME))), (0o700, 0o600));
        assert!(!scratch.0.join(FILE_NAME_NEW).exists());
    }

    #[test]
    fn a_crash_while_the_key_is_made_hurts_nothing() {
        let scratch = Scratch::new("crash");
        fs::create_dir_all(&scratch.0).unwrap();
        fs::write(scratch.0.join(FILE_NAME_NEW), b"half").unwrap();
        Sealer::open_or_create(&scratch.0).unwrap();
    }

    #[test]
    fn a_key_that_others_may_read_or_that_was_cut_is_refused() {
        let scratch = Scratch::new("refused");
        Sealer::open_or_create(&scratch.0).unwrap();
        let path = scratch.0.join(FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Sealer::open_or_create(&scratch.0).unwrap_err().to_string();
        assert!(error.contains("may be read by others (mode 640); allowed: 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        let error = Sealer::open(&scratch.0).unwrap_err().to_string();
        assert!(error.contains("has 5 bytes; allowed: the 32 bytes"), "{error}");
    }
}
