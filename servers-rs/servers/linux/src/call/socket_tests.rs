// SPDX-License-Identifier: PMPL-1.0-or-later
//! Sockets of a cell through calls.

use super::*;
use crate::errno::*;
use crate::world::{World, world};
use linux_raw_sys::general as raw;
use linux_raw_sys::net;
use std::vec::Vec;

type Result<T> = core::result::Result<T, Errno>;
const UNIX: u64 = net::AF_UNIX as u64;
const STREAM: u64 = net::SOCK_STREAM as u64;
const DATAGRAM: u64 = net::SOCK_DGRAM as u64;

fn pair(w: &mut World, kind: u64) -> (u64, u64) {
    let both = w.room(8);
    w.call(socket::socketpair, &[UNIX, kind, 0, both]).unwrap();
    let bytes = w.bytes(both, 8);
    (u64::from(bytes[0]), u64::from(bytes[4]))
}
fn write(w: &mut World, fd: u64, text: &str) -> Result<u64> {
    let bytes = w.put(text.as_bytes());
    w.call(transfer::write, &[fd, bytes, text.len() as u64])
}
fn read(w: &mut World, fd: u64, length: u64) -> Result<Vec<u8>> {
    let buffer = w.room(length as usize);
    let n = w.call(transfer::read, &[fd, buffer, length])?;
    Ok(w.bytes(buffer, n as usize).to_vec())
}
fn unix(name: &[u8]) -> Vec<u8> {
    [&(net::AF_UNIX as u16).to_le_bytes()[..], name].concat()
}
fn with_address(w: &mut World, handler: Handler, fd: u64, address: &[u8]) -> Result<u64> {
    let at = w.put(address);
    w.call(handler, &[fd, at, address.len() as u64])
}

#[test]
fn a_stream_flows_ends_and_breaks() {
    let mut w = world();
    let (a, b) = pair(&mut w, STREAM);
    write(&mut w, a, "one").unwrap();
    write(&mut w, a, "two").unwrap();
    assert_eq!(read(&mut w, b, 4).unwrap(), b"onet");
    assert_eq!(read(&mut w, b, 4).unwrap(), b"wo");
    w.call(socket::shutdown, &[a, net::SHUT_WR.into()]).unwrap();
    assert_eq!(read(&mut w, b, 4).unwrap(), b"");
    assert_eq!(write(&mut w, a, "x"), Err(EPIPE));
    write(&mut w, b, "back").unwrap();
    w.call(open::close, &[b]).unwrap();
    assert_eq!(read(&mut w, a, 9).unwrap(), b"back");
    assert_eq!(w.signals.take().len(), 1);
}

#[test]
fn messages_stay_whole_and_what_is_too_long_is_cut() {
    let mut w = world();
    let (a, b) = pair(&mut w, net::SOCK_SEQPACKET.into());
    write(&mut w, a, "first").unwrap();
    write(&mut w, a, "second").unwrap();
    let buffer = w.room(16);
    assert_eq!(w.call(message::recvfrom, &[b, buffer, 3, net::MSG_PEEK.into()]), Ok(3));
    assert_eq!(w.call(message::recvfrom, &[b, buffer, 3, net::MSG_TRUNC.into()]), Ok(5));
    assert_eq!(read(&mut w, b, 16).unwrap(), b"second");
    assert_eq!(w.call(message::recvfrom, &[b, buffer, 3, net::MSG_DONTWAIT.into()]), Err(EAGAIN));
    assert!(w.blocks(transfer::read, &[b, buffer, 3]));
}

#[test]
fn names_are_bound_found_and_refused() {
    let mut w = world();
    let names: [&[u8]; 2] = [b"/socket", b"\0abstract"];
    for name in names {
        let (server, client) =
            (w.call(socket::socket, &[UNIX, STREAM, 0]).unwrap(), w.call(socket::socket, &[UNIX, STREAM, 0]).unwrap());
        assert!(with_address(&mut w, socket::connect, client, &unix(name)).is_err());
        with_address(&mut w, socket::bind, server, &unix(name)).unwrap();
        assert_eq!(with_address(&mut w, socket::connect, client, &unix(name)), Err(ECONNREFUSED));
        w.call(socket::listen, &[server, 1]).unwrap();
        assert!(w.blocks(socket::accept, &[server, 0, 0]));
        w.progress = Default::default();
        with_address(&mut w, socket::connect, client, &unix(name)).unwrap();
        assert_eq!(with_address(&mut w, socket::connect, client, &unix(name)), Err(EISCONN));
        let accepted = w.call(socket::accept4, &[server, 0, 0, raw::O_CLOEXEC.into()]).unwrap();
        write(&mut w, client, "hello").unwrap();
        assert_eq!(read(&mut w, accepted, 9).unwrap(), b"hello");
        let (at, length) = (w.room(110), w.put(&110u32.to_le_bytes()));
        w.call(socket::getpeername, &[client, at, length]).unwrap();
        assert_eq!(w.bytes(at, 2 + name.len()), unix(name));
        let again = w.call(socket::socket, &[UNIX, STREAM, 0]).unwrap();
        assert_eq!(with_address(&mut w, socket::bind, again, &unix(name)), Err(EADDRINUSE));
    }
}

#[test]
fn descriptors_and_credentials_travel() {
    let mut w = world();
    let (a, b) = pair(&mut w, STREAM);
    let file = w.open("/f", raw::O_CREAT | raw::O_RDWR).unwrap();
    write(&mut w, file, "content").unwrap();
    let on = w.put(&1u32.to_le_bytes());
    w.call(socket::setsockopt, &[b, net::SOL_SOCKET.into(), net::SO_PASSCRED.into(), on, 4]).unwrap();
    let data = w.put(b"x");
    let vector = w.put(&[data, 1].map(u64::to_le_bytes).concat());
    let control =
        [&20u64.to_le_bytes()[..], &1u32.to_le_bytes(), &net::SCM_RIGHTS.to_le_bytes(), &(file as u32).to_le_bytes(), &[0; 4]]
            .concat();
    let control = w.put(&control);
    let header = w.put(&[0, 0, vector, 1, control, 24, 0].map(u64::to_le_bytes).concat());
    assert_eq!(w.call(message::sendmsg, &[a, header, 0]), Ok(1));
    w.call(open::close, &[file]).unwrap();
    let control = w.room(64);
    let header = w.put(&[0, 0, vector, 1, control, 64, 0].map(u64::to_le_bytes).concat());
    assert_eq!(w.call(message::recvmsg, &[b, header, net::MSG_CMSG_CLOEXEC.into()]), Ok(1));
    let bytes = w.bytes(control, 64).to_vec();
    assert_eq!(bytes[16..28], [10u32, 0, 0].map(u32::to_le_bytes).concat());
    let fd = u64::from(bytes[32 + 16]);
    assert_eq!(w.call(seek::lseek, &[fd, 0, raw::SEEK_CUR.into()]), Ok(7));
    assert_eq!(w.call(descriptor::fcntl, &[fd, raw::F_GETFD.into()]), Ok(1));
}

#[test]
fn a_socket_in_its_own_inbox_is_not_for_ever() {
    let mut w = world();
    let (a, _) = pair(&mut w, DATAGRAM);
    let data = w.put(b"x");
    let vector = w.put(&[data, 1].map(u64::to_le_bytes).concat());
    let fds = 250u64;
    let control = [&(16 + 4 * fds).to_le_bytes()[..], &1u32.to_le_bytes(), &net::SCM_RIGHTS.to_le_bytes()].concat();
    let control = [control, (a as u32).to_le_bytes().repeat(fds as usize)].concat();
    let (control, length) = (w.put(&control), control.len() as u64);
    let header = w.put(&[0, 0, vector, 1, control, length, 0].map(u64::to_le_bytes).concat());
    let refused = (0..40).map(|_| w.call(message::sendmsg, &[a, header, net::MSG_DONTWAIT.into()])).find(Result::is_err);
    assert_eq!(refused, Some(Err(ETOOMANYREFS)));
}

#[test]
fn the_loopback_carries_both_families() {
    let mut w = world();
    let v6 = |port: u16| [&(net::AF_INET6 as u16).to_le_bytes()[..], &port.to_be_bytes(), &[0; 19], &[1], &[0; 4]].concat();
    let server = w.call(socket::socket, &[net::AF_INET6.into(), STREAM, 0]).unwrap();
    let client = w.call(socket::socket, &[net::AF_INET6.into(), STREAM, 0]).unwrap();
    with_address(&mut w, socket::bind, server, &v6(0)).unwrap();
    w.call(socket::listen, &[server, 5]).unwrap();
    let (at, length) = (w.room(28), w.put(&28u32.to_le_bytes()));
    w.call(socket::getsockname, &[server, at, length]).unwrap();
    let address = w.bytes(at, 28).to_vec();
    assert_ne!(address[2..4], [0, 0]);
    with_address(&mut w, socket::connect, client, &address).unwrap();
    let accepted = w.call(socket::accept, &[server, 0, 0]).unwrap();
    write(&mut w, accepted, "hello").unwrap();
    assert_eq!(read(&mut w, client, 9).unwrap(), b"hello");
    let mut far = address.clone();
    far[8] = 0x20;
    let other = w.call(socket::socket, &[net::AF_INET6.into(), STREAM, 0]).unwrap();
    assert_eq!(with_address(&mut w, socket::connect, other, &far), Err(ENETUNREACH));
    assert_eq!(w.call(socket::socket, &[net::AF_INET6.into(), STREAM, 262]), Err(EPROTONOSUPPORT));
    assert_eq!(w.call(socket::socket, &[net::AF_NETLINK.into(), 3, 0]), Err(ESOCKTNOSUPPORT));
}

/// `struct sockaddr_in6` and `struct sockaddr_in`, open to all.
fn any(family: u32, port: u16) -> Vec<u8> {
    let rest: &[u8] = if family == net::AF_INET6 { &[0; 24] } else { &[0; 12] };
    [&(family as u16).to_le_bytes()[..], &port.to_be_bytes(), rest].concat()
}

#[test]
fn a_socket_of_version_6_has_the_ports_of_both_versions_unless_it_wants_its_own_alone() {
    let mut w = world();
    let mut open = |family: u32| w.call(socket::socket, &[family.into(), STREAM, 0]).unwrap();
    let [six, four, other, late] = [net::AF_INET6, net::AF_INET, net::AF_INET6, net::AF_INET].map(&mut open);
    let one = w.put(&1u32.to_le_bytes());
    w.call(socket::setsockopt, &[six, net::IPPROTO_IPV6 as u64, net::IPV6_V6ONLY.into(), one, 4]).unwrap();
    with_address(&mut w, socket::bind, six, &any(net::AF_INET6, 7000)).unwrap();
    with_address(&mut w, socket::bind, four, &any(net::AF_INET, 7000)).unwrap();
    with_address(&mut w, socket::bind, other, &any(net::AF_INET6, 7001)).unwrap();
    assert_eq!(with_address(&mut w, socket::bind, late, &any(net::AF_INET, 7001)), Err(EADDRINUSE));
}
