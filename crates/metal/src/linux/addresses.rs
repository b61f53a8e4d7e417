//! The network addresses of the running system, asked of the kernel by netlink.
//!
//! The files under `/proc/net` do not say which interface has which IPv4 address, and a guess by route is wrong on a
//! board whose cable and radio are in one network. Source: rtnetlink(7), netlink(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink::SocketAddrNetlink, sockopt};

use crate::MetalError;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_DUMP: u16 = 0x0301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Larger than any datagram the kernel makes for a dump (it stops at 32 KiB).
const BUFFER_BYTES: usize = 32 * 1024;
/// The kernel answers at once; this only keeps a reader from hanging for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// So many datagrams are taken; a machine with more addresses than fit has the rest left out.
const MAX_DATAGRAMS: usize = 64;

/// An address, and the index of the interface that has it.
pub(crate) type OwnedAddress = (u32, IpAddr);

/// Every address of every interface; none where this process is not allowed to ask (a sandbox without netlink).
pub(crate) fn addresses() -> Result<Vec<OwnedAddress>, MetalError> {
    match ask() {
        Ok(found) => Ok(found),
        Err(Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Ok(Vec::new()),
        Err(errno) => Err(MetalError::Kernel {
            what: "network addresses",
            source: errno.into(),
        }),
    }
}

fn ask() -> Result<Vec<OwnedAddress>, Errno> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WITHIN))?;
    rustix::net::sendto(
        &socket,
        &request(),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut found = Vec::new();
    for _ in 0..MAX_DATAGRAMS {
        let (_, length) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if take_datagram(buffer.get(..length).unwrap_or(&buffer), &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// A message header and an `ifaddrmsg` that asks for every family.
fn request() -> [u8; 24] {
    let mut message = [0; 24];
    message[0..4].copy_from_slice(&24_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    message[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    message
}

/// Takes the addresses out of one datagram; true when it was the last.
pub(crate) fn take_datagram(mut rest: &[u8], found: &mut Vec<OwnedAddress>) -> Result<bool, Errno> {
    while let Some((kind, body, tail)) = next_message(rest) {
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = i32_at(body, 0).unwrap_or_default();
                return if code == 0 {
                    Ok(true)
                } else {
                    Err(Errno::from_raw_os_error(code.saturating_neg()))
                };
            }
            RTM_NEWADDR => found.extend(address(body)),
            _other_kinds_are_not_asked_for => {}
        }
        rest = tail;
    }
    Ok(false)
}

/// The kind and body of the first message, and what follows it.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let body = bytes.get(16..length)?;
    Some((
        u16_at(bytes, 4)?,
        body,
        bytes.get(aligned(length)..).unwrap_or_default(),
    ))
}

/// On a point-to-point link `IFA_ADDRESS` is the peer's; our own is `IFA_LOCAL`, which IPv6 has only there.
fn address(body: &[u8]) -> Option<OwnedAddress> {
    let family = *body.first()?;
    let index = u32_at(body, 4)?;
    let (mut own, mut any) = (None, None);
    let mut attributes = body.get(8..)?;
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else {
            break;
        };
        match kind {
            IFA_LOCAL => own = ip(family, value),
            IFA_ADDRESS => any = ip(family, value),
            _other_attributes_do_not_matter => {}
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Some((index, own.or(any)?))
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _other_families_have_no_ip => None,
    }
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
