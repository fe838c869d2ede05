//! The API as its callers see it: every function behind its routes, in this process, over a real
//! catalog and real storage. Each file is named by what stands in its URLs.

mod access;
mod backups;
mod databases;
mod handed_out;
mod packages;
mod pages;
mod restore;
mod retention;
mod sent;
mod support;
mod uploads;
mod verify;
