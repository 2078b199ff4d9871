//! stub
use super::*;
/// stub
pub struct SimDisk;
/// stub
pub struct SimImage;
/// stub
pub enum Crash {}
/// stub
pub enum Fault {}
