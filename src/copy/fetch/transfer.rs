//! The data of the files that differ: asking for it, writing it, and the check of what arrived.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use super::host::{FetchStep, HostFetch, SUMS, push_cd};
use super::incoming::{ArrivalStep, Incoming, IncomingError};
use super::local::LocalError;
use crate::copy::blocks;
use crate::copy::result::message;

impl HostFetch {
    /// Asks for the data of the first of these batches.
    pub(in crate::copy) fn ask_data(&mut self, parts: VecDeque<Vec<usize>>) {
        let Some(part) = parts.front() else {
            return self.ask_prefixes();
        };
        let mut block = Vec::new();
        let incoming = if self.programs.has_tar {
            self.push_call("pack", part, &mut block);
            Incoming::archive(part.clone())
        } else {
            push_cd(self.list.entries[part[0]].is_absolute, &mut block);
            for &index in part {
                let entry = &self.list.entries[index];
                block.extend_from_slice(format!("raw {}", entry.size).as_bytes());
                blocks::push_name(&entry.name, &mut block);
                block.push(b'\n');
            }
            let sizes = part.iter().map(|&index| self.list.entries[index].size);
            Incoming::raw(part.iter().copied().zip(sizes).collect())
        };
        // The checksums come in the same block as the data, which saves a round trip for each batch.
        self.push_call(SUMS, part, &mut block);
        self.shell.send_block(block);
        self.step = FetchStep::Data(parts, Box::new(incoming));
    }

    /// Takes data of files.
    pub(in crate::copy) fn on_data(
        &mut self,
        data: &mut &[u8],
        parts: VecDeque<Vec<usize>>,
        mut incoming: Box<Incoming>,
    ) {
        loop {
            let progress = incoming.take(data, &mut self.list.entries, self.programs.checksum);
            let mut problem = None;
            match progress {
                Ok(ArrivalStep::More) => {
                    self.step = FetchStep::Data(parts, incoming);
                    return;
                }
                Ok(ArrivalStep::Begins(number)) => {
                    let name = Arc::clone(&self.list.entries[number].name);
                    match self.directory.create(number, &name) {
                        Ok(file) => incoming.open(file),
                        Err(error) => problem = Some(error),
                    }
                }
                Ok(ArrivalStep::Bytes(bytes, number)) => {
                    // The list is only what the target says. What counts is what it sends.
                    self.received += bytes.len() as u64;
                    self.progress.moved(bytes.len() as u64);
                    if self.received > self.shared.spec.max_size {
                        let most = self.shared.spec.max_size;
                        return self.abandon(format!(
                            "the files grew beyond the {most} bytes that --max-size allows"
                        ));
                    }
                    if let Some(file) = incoming.file()
                        && let Err(cause) = file.write_all(bytes)
                    {
                        problem = Some(LocalError {
                            doing: "write",
                            name: self.list.entries[number].name.to_vec(),
                            cause: cause.to_string(),
                        });
                    }
                }
                Ok(ArrivalStep::Ends(number)) => {
                    let entry = &self.list.entries[number];
                    if let Err(error) = incoming.close(entry) {
                        problem = Some(error);
                    }
                }
                Ok(ArrivalStep::Done) => {
                    self.step = FetchStep::Arrived(parts, Vec::new());
                    return;
                }
                Err(IncomingError::Name(name)) => {
                    let text = format!("a file that was not asked for: {}", message(&name));
                    return self.fail_protocol(&text);
                }
                Err(IncomingError::Archive(fault)) => {
                    let text = format!("an archive with {fault}");
                    return self.fail_protocol(&text);
                }
            }
            if let Some(error) = problem {
                return self.fail_here(&error);
            }
        }
    }

    pub(in crate::copy) fn on_arrived(
        &mut self,
        line: &[u8],
        mut parts: VecDeque<Vec<usize>>,
        mut sums: Vec<Vec<u8>>,
    ) {
        let most = parts.front().map_or(0, Vec::len);
        match line {
            [b's', b' ', sum @ ..] if sums.len() < most => sums.push(sum.to_vec()),
            b"-" if sums.len() == most => {
                for (&index, sum) in parts.front().into_iter().flatten().zip(&sums) {
                    let own = &self.list.entries[index].sum;
                    if own.as_ref().is_none_or(|own| own.as_bytes() != sum) {
                        self.changed_meanwhile.push(index);
                    }
                }
            }
            b"-" => return self.fail("files went away while they were fetched; try again".into()),
            b"." if sums.len() == most => {
                parts.pop_front();
                return self.ask_data(parts);
            }
            _ => return self.fail_unexpected(line),
        }
        self.step = FetchStep::Arrived(parts, sums);
    }

    /// Asks for the checksums of the first bytes of files that may only have grown, as logs do.
    fn ask_prefixes(&mut self) {
        let files = std::mem::take(&mut self.changed_meanwhile);
        if files.is_empty() {
            return self.commit();
        }
        let mut block = Vec::new();
        for &index in &files {
            let entry = &self.list.entries[index];
            // Of the first no bytes all files have the same.
            if entry.size == 0 || entry.sum.is_none() {
                return self.fail_changed(index);
            }
            push_cd(entry.is_absolute, &mut block);
            block.extend_from_slice(format!("part {}", entry.size).as_bytes());
            blocks::push_name(&entry.name, &mut block);
            block.push(b'\n');
        }
        self.shell.send_block(block);
        self.step = FetchStep::Prefixes(files.into());
    }

    pub(in crate::copy) fn fail_changed(&mut self, index: usize) {
        let name = self.far_name_of(index);
        self.fail(format!("{name}: changed while it was fetched; try again"));
    }

    pub(in crate::copy) fn on_prefix(&mut self, line: &[u8], mut files: VecDeque<usize>) {
        match (files.pop_front(), line) {
            (Some(index), [b's', b' ', sum @ ..]) => {
                let own = &self.list.entries[index].sum;
                if own.as_ref().is_none_or(|own| own.as_bytes() != sum) {
                    return self.fail_changed(index);
                }
                self.step = FetchStep::Prefixes(files);
            }
            (None, b".") => self.commit(),
            _ => self.fail_unexpected(line),
        }
    }

    pub(in crate::copy) fn commit(&mut self) {
        // A disk that is full now leaves some files replaced and others not, and the message must say so.
        self.result.partly = true;
        if let Err(error) = super::install::install(&mut self.directory, &self.list.entries) {
            return self.fail_here(&error);
        }
        self.result.partly = false;
        self.finish();
    }
}
