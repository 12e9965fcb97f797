// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the process server says of the others. It may just be restarted itself: then it is asked again.

use crate::Trouble;
use alloc::format;
use api_supervisor::{Client, Error, Status};
use ipc::Text;
use rt::channel::Channel;
use rt::start::grant;

fn client() -> Result<Client<Channel>, Trouble> {
    let (endpoint, _) = grant::call(api_supervisor::NAME).ok_or("supervisor is not granted")?;
    Ok(Client(Channel(endpoint)))
}

fn again<R>(mut ask: impl FnMut(&mut Client<Channel>) -> Result<R, Error>) -> Result<R, Trouble> {
    let mut client = client()?;
    loop {
        match ask(&mut client) {
            Err(Error::Restarted) => {}
            other => return other.map_err(|error| format!("asking the process server: {error:?}")),
        }
    }
}

/// Place of a component in the start order; `None` for the process server.
pub fn number(name: &str) -> Result<Option<u32>, Trouble> {
    for n in 0..again(|c| c.count())? {
        if status(n)?.name.as_str() == name {
            return Ok(Some(n));
        }
    }
    if name == "process" { Ok(None) } else { Err(format!("there is no {name}")) }
}

pub fn status(number: u32) -> Result<Status, Trouble> {
    again(|c| c.status(number))
}

pub fn end(name: &str) -> Result<(), Trouble> {
    let mut client = client()?;
    match client.end(Text::clipped(name)) {
        Ok(()) | Err(Error::Restarted | Error::NotRunning) => Ok(()),
        Err(error) => Err(format!("ending {name}: {error:?}")),
    }
}

/// All of them, in their order.
pub fn everybody() -> Result<alloc::vec::Vec<Status>, Trouble> {
    (0..again(|c| c.count())?).map(status).collect()
}
