//! TensorBoard event files: scalars in TFRecord frames, protobuf encoded by hand.
//!
//! Frame: `length: u64 LE, masked CRC32C of those 8 bytes: u32 LE, data, masked CRC32C of data: u32 LE` (TensorFlow's
//! `record_writer.h`). The four messages needed are small and fixed since 2015 (`event.proto`, `summary.proto`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ReportError;

/// Writes scalars as TensorBoard reads them. Buffered: [`EventFile::flush`] at the end of an epoch; dropping flushes.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Begins `events.out.tfevents.<seconds>.<host>.<pid>.<n>` in `folder`, creating the folder if need be. `n` is 0 unless
    /// that file exists. `wall_time` is in seconds since 1970.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn create(folder: &Path, wall_time: f64) -> Result<Self, ReportError> {
        fs::create_dir_all(folder).map_err(ReportError::io(folder, "create the folder"))?;
        let stem = format!("events.out.tfevents.{:010}.{}.{}", wall_time.max(0.0) as u64, host(), std::process::id());
        let (path, file) = create_numbered(folder, &stem)?;
        let mut events = Self { path, file: BufWriter::new(file) };
        events.write(&Event { wall_time, step: 0, what: What::FileVersion("brain.Event:2") })?;
        events.flush()?;
        Ok(events)
    }

    /// As [`EventFile::create`], for a run whose next step is `next_step`: TensorBoard then drops what an earlier,
    /// interrupted file holds at that step and beyond.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn resume(folder: &Path, wall_time: f64, next_step: u64) -> Result<Self, ReportError> {
        let mut events = Self::create(folder, wall_time)?;
        events.write(&Event { wall_time, step: next_step, what: What::SessionStart })?;
        Ok(events)
    }

    /// Adds named scalars of one step. `wall_time` is in seconds since 1970.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn scalars(&mut self, scalars: &[(&str, f32)], step: u64, wall_time: f64) -> Result<(), ReportError> {
        self.write(&Event { wall_time, step, what: What::Scalars(scalars) })
    }

    /// Hands what is buffered to the operating system.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush().map_err(ReportError::io(&self.path, "write events"))
    }

    /// Where the events go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, event: &Event<'_>) -> Result<(), ReportError> {
        let record = framed(&event.encoded());
        self.file.write_all(&record).map_err(ReportError::io(&self.path, "write events"))
    }
}

/// Creates `stem.0`, or the next number that is free.
fn create_numbered(folder: &Path, stem: &str) -> Result<(PathBuf, File), ReportError> {
    let mut number = 0_u32;
    loop {
        let path = folder.join(format!("{stem}.{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return Ok((path.clone(), opened.map_err(ReportError::io(&path, "create the event file"))?)),
        }
    }
}

/// The machine's name as a file name part, `localhost` where unknown.
fn host() -> String {
    let named = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = named.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    let clean: String = named
        .unwrap_or_default()
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    if clean.is_empty() { "localhost".to_owned() } else { clean }
}

/// `tensorflow.Event`: `double wall_time = 1; int64 step = 2; oneof { string file_version = 3; Summary summary = 5;
/// SessionLog session_log = 7; }`.
pub(super) struct Event<'a> {
    pub(super) wall_time: f64,
    pub(super) step: u64,
    pub(super) what: What<'a>,
}

pub(super) enum What<'a> {
    FileVersion(&'a str),
    /// `Summary { repeated Value value = 1; }`, `Value { string tag = 1; float simple_value = 2; }`.
    Scalars(&'a [(&'a str, f32)]),
    /// `SessionLog { SessionStatus status = 1; }` with `START = 1`.
    SessionStart,
}

/// Protobuf wire types, the low three bits of a field's key.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

impl Event<'_> {
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut event = vec![key(1, FIXED64)];
        event.extend(self.wall_time.to_le_bytes());
        // A zero is the default and is left out, as proto3 writers do.
        if self.step != 0 {
            event.push(key(2, VARINT));
            put_varint(&mut event, self.step);
        }
        match &self.what {
            What::FileVersion(version) => put_bytes(&mut event, 3, version.as_bytes()),
            What::Scalars(scalars) => put_bytes(&mut event, 5, &summary(scalars)),
            What::SessionStart => put_bytes(&mut event, 7, &[key(1, VARINT), 1]),
        }
        event
    }
}

fn summary(scalars: &[(&str, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        value.push(key(2, FIXED32));
        value.extend(number.to_le_bytes());
        put_bytes(&mut summary, 1, &value);
    }
    summary
}

/// The byte before a field; fields above 15 would need more.
const fn key(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(key(field, DELIMITED));
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let (length_check, data_check) = (masked_crc(&length).to_le_bytes(), masked_crc(data).to_le_bytes());
    [&length[..], &length_check, data, &data_check].concat()
}

/// CRC32C, rotated and offset so that a checksum of data holding checksums stays strong.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}
