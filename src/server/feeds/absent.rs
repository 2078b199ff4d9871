//! The replicas of a build without replication: there are none, and there never will be.
//!
//! Nobody can make a value of this type, so nothing of what the loop asks of it is ever asked.

use super::Replica;
use crate::error::{Error, Result};
use crate::identity::Role;
use crate::server::Options;
use crate::server::counters::Counters;
use crate::wal::Extent;
use crate::wire::{Poll, Ready};
use std::net::SocketAddr;

/// See the build with replication.
pub enum Feeds {}

impl Feeds {
    pub(in crate::server) fn bind(_: &Poll, _: usize, _: SocketAddr, _: &Options) -> Result<Feeds> {
        Role::Primary.check_compiled().and_then(|()| Err(Error::new(crate::reason::Reason::RoleCompiledOut)))
    }

    pub(in crate::server) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(in crate::server) fn replicas(&self) -> std::iter::Empty<Replica> {
        match *self {}
    }

    pub(in crate::server) fn pause(&self) -> Option<u64> {
        match *self {}
    }

    pub(in crate::server) fn ready(&mut self, _: Ready) {
        match *self {}
    }

    pub(in crate::server) fn turn(&mut self, _: &Poll, _: &Extent, _: &mut Counters) -> bool {
        match *self {}
    }

    pub(in crate::server) fn file_is_free(&mut self) {
        match *self {}
    }

    pub(in crate::server) fn is_parked(&self) -> bool {
        match *self {}
    }

    pub(in crate::server) fn may_sleep(&self, _: &Extent) -> bool {
        match *self {}
    }
}
