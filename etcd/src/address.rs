//! Where a store is: `etcd://HOST:PORT[,HOST:PORT]…/PREFIX`, and the files by which its members and we know each other:
//! `?ca=FILE&cert=FILE&key=FILE`, all PEM.
//!
//! Without them nothing is encrypted, which is refused but for members on this machine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The scheme of such an address.
const SCHEME: &str = "etcd://";

/// Where the members of a store are, and under what our keys lie there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `HOST:PORT` each.
    pub members: Vec<String>,
    /// Without a slash at its ends.
    pub prefix: String,
    pub tls: Option<Files>,
}

/// The files by which both sides know each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Whoever shows a certificate of this authority is a member.
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no address of a store: {why}; expected etcd://HOST:PORT[,HOST:PORT…]/PREFIX?ca=FILE&cert=FILE&key=FILE"
)]
pub struct BadAddress {
    text: String,
    why: String,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Address, BadAddress> {
        read(text).map_err(|why| BadAddress { text: text.to_owned(), why })
    }
}

fn read(text: &str) -> Result<Address, String> {
    let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with etcd://")?;
    let (place, files) = rest.split_once('?').map_or((rest, None), |(place, files)| (place, Some(files)));
    let (members, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.trim_matches('/').to_owned();
    if prefix.is_empty() {
        return Err("it has no PREFIX, under which nothing but this cluster keeps its keys".to_owned());
    }
    let members: Vec<String> = members.split(',').map(str::to_owned).collect();
    if let Some(bad) = members.iter().find(|member| !is_member(member)) {
        return Err(format!("{bad:?} is no HOST:PORT"));
    }
    let tls = files.map(read_files).transpose()?;
    if tls.is_none() && !members.iter().all(|member| is_here(member)) {
        return Err("members on other machines are spoken to under TLS only, and it names no files for that".to_owned());
    }
    Ok(Address { members, prefix, tls })
}

fn is_member(member: &str) -> bool {
    member.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_here(member: &str) -> bool {
    let host = member.rsplit_once(':').map_or(member, |(host, _)| host);
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_files(text: &str) -> Result<Files, String> {
    let value = |key: &str| {
        let found = text.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let path = found.filter(|path| !path.is_empty()).ok_or_else(|| format!("{key}=FILE is missing"))?;
        // Whoever reads it later is in another directory.
        match path.starts_with('/') {
            true => Ok(PathBuf::from(path)),
            false => Err(format!("{key}={path} is no absolute path")),
        }
    };
    Ok(Files { authority: value("ca")?, certificate: value("cert")?, key: value("key")? })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.members.join(","), self.prefix)?;
        let Some(Files { authority, certificate, key }) = &self.tls else { return Ok(()) };
        write!(f, "?ca={}&cert={}&key={}", authority.display(), certificate.display(), key.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_itself() {
        for text in ["etcd://127.0.0.1:2379/one", "etcd://a.example:1,b.example:2/x/y?ca=/a&cert=/b&key=/c"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_named() {
        for (text, why) in [
            ("http://a:1/x", "does not begin with etcd://"),
            ("etcd://127.0.0.1:2379", "no PREFIX"),
            ("etcd://127.0.0.1/x", "no HOST:PORT"),
            ("etcd://a.example:2379/x", "under TLS only"),
            ("etcd://a.example:2379/x?ca=/a&key=/c", "cert=FILE is missing"),
            ("etcd://a.example:2379/x?ca=/a&cert=b&key=/c", "cert=b is no absolute path"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
