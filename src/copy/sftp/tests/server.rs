//! An SFTP server in memory, which can lack extensions, answer in another order, and fail.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::super::wire::{code, kind};

/// Extensions of OpenSSH's server that a copy uses.
pub(super) const OPENSSH: &[&str] = &[
    "posix-rename@openssh.com",
    "hardlink@openssh.com",
    "fsync@openssh.com",
];

/// A file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory {
        mode: u32,
    },
    /// A name of the file with this number.
    File(usize),
    Link(Vec<u8>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileData {
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) mtime: u32,
    pub(super) owner: (u32, u32),
}

/// Behaviour of the server.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) extensions: &'static [&'static str],
    /// True if SYMLINK has its arguments as in the draft.
    pub(super) draft_links: bool,
    /// True if the replies to requests that came together go out in reverse order.
    pub(super) reversed: bool,
    /// Maximum number of bytes of a reply to READ.
    pub(super) most_read: usize,
    /// Type of the requests that fail, and their status.
    pub(super) failing: Option<(u8, u32)>,
    /// True if what is written is damaged.
    pub(super) damages: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            extensions: OPENSSH,
            draft_links: false,
            reversed: false,
            most_read: usize::MAX,
            failing: None,
            damages: false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) rules: Rules,
    pub(super) nodes: BTreeMap<Vec<u8>, Node>,
    pub(super) files: Vec<FileData>,
    handles: HashMap<Vec<u8>, usize>,
    next_handle: u32,
    input: Vec<u8>,
    replies: VecDeque<Vec<u8>>,
    /// Types of all requests.
    pub(super) requests: Vec<u8>,
    /// Maximum number of requests without a reply.
    pub(super) most_in_flight: usize,
}

/// Fields of a request.
struct Fields<'p>(&'p [u8]);

impl<'p> Fields<'p> {
    fn number(&mut self) -> u32 {
        let (taken, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_be_bytes(taken.try_into().unwrap())
    }

    fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    fn string(&mut self) -> &'p [u8] {
        let length = self.number() as usize;
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text].concat()
}

/// A path without `.` and doubled slashes. The server starts in `/home`.
fn absolute(path: &[u8]) -> Vec<u8> {
    let mut all = if path.starts_with(b"/") {
        Vec::new()
    } else {
        b"/home".to_vec()
    };
    for part in path.split(|&byte| byte == b'/') {
        if !matches!(part, b"" | b".") {
            all.push(b'/');
            all.extend_from_slice(part);
        }
    }
    if all.is_empty() { b"/".to_vec() } else { all }
}

fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) if at > 0 => &path[..at],
        _ => b"/",
    }
}

enum Answer {
    Status(u32),
    Packet(u8, Vec<u8>),
}

impl Server {
    pub(super) fn new(rules: Rules) -> Server {
        let mut server = Server {
            rules,
            ..Server::default()
        };
        for path in ["/", "/home"] {
            server
                .nodes
                .insert(path.into(), Node::Directory { mode: 0o755 });
        }
        server
    }

    pub(super) fn write(&mut self, path: &str, content: &[u8]) {
        self.files.push(FileData {
            content: content.to_vec(),
            mode: 0o644,
            ..FileData::default()
        });
        let file = Node::File(self.files.len() - 1);
        self.nodes.insert(absolute(path.as_bytes()), file);
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileData> {
        match self.nodes.get(&absolute(path.as_bytes()))? {
            Node::File(index) => Some(&self.files[*index]),
            _ => None,
        }
    }

    /// Takes bytes of the client.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(length) = self.input.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*length) as usize;
            if self.input.len() < end {
                break;
            }
            let packet: Vec<u8> = self.input.drain(..end).skip(4).collect();
            self.on_packet(&packet);
        }
        self.most_in_flight = self.most_in_flight.max(self.replies.len());
    }

    /// Returns the replies so far.
    pub(super) fn output(&mut self) -> Vec<u8> {
        if self.rules.reversed {
            self.replies.make_contiguous().reverse();
        }
        self.replies.drain(..).flatten().collect()
    }

    fn on_packet(&mut self, packet: &[u8]) {
        self.requests.push(packet[0]);
        let mut fields = Fields(&packet[1..]);
        let id = fields.number();
        if packet[0] == kind::INIT {
            let mut body = 3_u32.to_be_bytes().to_vec();
            for name in self.rules.extensions {
                body.extend(string(name.as_bytes()));
                body.extend(string(b"1"));
            }
            return self.reply(kind::VERSION, &body);
        }
        let answer = match self.rules.failing {
            Some((kind, code)) if kind == packet[0] => Answer::Status(code),
            _ => self.answer(packet[0], &mut fields),
        };
        let (kind, body) = match answer {
            Answer::Packet(kind, body) => (kind, body),
            Answer::Status(code) => {
                let text = [string(b"Failure"), string(b"")].concat();
                (kind::STATUS, [&code.to_be_bytes()[..], &text].concat())
            }
        };
        self.reply(kind, &[&id.to_be_bytes()[..], &body].concat());
    }

    fn reply(&mut self, kind: u8, body: &[u8]) {
        let length = (body.len() as u32 + 1).to_be_bytes();
        self.replies
            .push_back([&length[..], &[kind], body].concat());
    }

    fn attributes(&self, node: &Node) -> Answer {
        let (size, mode, mtime) = match node {
            Node::Directory { mode } => (0, mode | 0o040_000, 0),
            Node::Link(content) => (content.len(), 0o120_777, 0),
            Node::File(index) => {
                let file = &self.files[*index];
                (file.content.len(), file.mode | 0o100_000, file.mtime)
            }
        };
        let mut body = 0x8000_000d_u32.to_be_bytes().to_vec();
        body.extend((size as u64).to_be_bytes());
        for number in [mode, mtime, mtime, 1] {
            body.extend(number.to_be_bytes());
        }
        // An extended attribute, which is skipped.
        body.extend([string(b"acl@test"), string(b"none")].concat());
        Answer::Packet(kind::ATTRS, body)
    }

    fn set(&mut self, node: &Node, path: Option<&[u8]>, fields: &mut Fields<'_>) -> u32 {
        let flags = fields.number();
        assert_eq!(flags & 1, 0, "the size is never set");
        let owner = (flags & 2 != 0).then(|| (fields.number(), fields.number()));
        let mode = (flags & 4 != 0).then(|| fields.number());
        let times = (flags & 8 != 0).then(|| (fields.number(), fields.number()));
        match node {
            Node::File(index) => {
                let file = &mut self.files[*index];
                file.owner = owner.unwrap_or(file.owner);
                if owner.is_some() {
                    file.mode &= 0o777;
                }
                file.mode = mode.unwrap_or(file.mode);
                file.mtime = times.map_or(file.mtime, |(_, mtime)| mtime);
            }
            Node::Directory { .. } => {
                if let (Some(mode), Some(path)) = (mode, path) {
                    self.nodes.insert(path.into(), Node::Directory { mode });
                }
            }
            Node::Link(_) => return code::FAILURE,
        }
        code::OK
    }

    fn add(&mut self, path: &[u8], node: Node) -> u32 {
        let path = absolute(path);
        if !matches!(self.nodes.get(parent(&path)), Some(Node::Directory { .. })) {
            return code::NO_SUCH_FILE;
        }
        if self.nodes.contains_key(&path) {
            return code::FAILURE;
        }
        self.nodes.insert(path, node);
        code::OK
    }

    fn rename(&mut self, from: &[u8], to: &[u8], replaces: bool) -> u32 {
        let (from, to) = (absolute(from), absolute(to));
        if !self.nodes.contains_key(&from) {
            return code::NO_SUCH_FILE;
        }
        if self.nodes.contains_key(&to) && !replaces {
            return code::FAILURE;
        }
        let below = [&*from, b"/"].concat();
        let moved: Vec<Vec<u8>> = self
            .nodes
            .keys()
            .filter(|path| **path == from || path.starts_with(&below))
            .cloned()
            .collect();
        for path in moved {
            let node = self.nodes.remove(&path).unwrap();
            self.nodes.insert([&to, &path[from.len()..]].concat(), node);
        }
        code::OK
    }

    fn answer(&mut self, request: u8, fields: &mut Fields<'_>) -> Answer {
        let first = fields.string();
        let path = absolute(first);
        let node = self.nodes.get(&path).cloned();
        let code = match (request, &node) {
            (kind::MKDIR, _) => {
                fields.number();
                let mode = fields.number();
                self.add(first, Node::Directory { mode })
            }
            (kind::SYMLINK, _) => {
                let second = fields.string();
                let [link, content] = if self.rules.draft_links {
                    [first, second]
                } else {
                    [second, first]
                };
                self.add(link, Node::Link(content.to_vec()))
            }
            (kind::RENAME, _) => self.rename(first, fields.string(), false),
            (kind::EXTENDED, _) => {
                let name = std::str::from_utf8(first).unwrap();
                assert!(self.rules.extensions.contains(&name), "{name}");
                let argument = fields.string();
                match name {
                    "posix-rename@openssh.com" => self.rename(argument, fields.string(), true),
                    "hardlink@openssh.com" => {
                        let file = self.nodes[&absolute(argument)].clone();
                        assert!(matches!(file, Node::File(_)));
                        self.add(fields.string(), file)
                    }
                    _ if self.handles.contains_key(argument) => code::OK,
                    _ => code::FAILURE,
                }
            }
            (kind::OPEN, _) => {
                let flags = fields.number();
                let index = match &node {
                    Some(Node::File(index)) if flags == 1 => *index,
                    None if flags == 0x2b => {
                        self.files.push(FileData {
                            mode: 0o600,
                            ..FileData::default()
                        });
                        let file = Node::File(self.files.len() - 1);
                        match self.add(first, file) {
                            code::OK => self.files.len() - 1,
                            code => return Answer::Status(code),
                        }
                    }
                    None => return Answer::Status(code::NO_SUCH_FILE),
                    Some(_) => return Answer::Status(code::FAILURE),
                };
                self.next_handle += 1;
                let handle = self.next_handle.to_be_bytes().to_vec();
                self.handles.insert(handle.clone(), index);
                return Answer::Packet(kind::HANDLE, string(&handle));
            }
            (kind::CLOSE | kind::READ | kind::WRITE | kind::FSETSTAT, _) => {
                let Some(&index) = self.handles.get(first) else {
                    return Answer::Status(code::FAILURE);
                };
                return self.on_handle(request, first, index, fields);
            }
            (_, None) => code::NO_SUCH_FILE,
            (kind::STAT | kind::LSTAT, Some(node)) => return self.attributes(node),
            (kind::READLINK, Some(Node::Link(content))) => {
                let name = [string(content), string(b""), 0_u32.to_be_bytes().to_vec()].concat();
                let list = [&1_u32.to_be_bytes()[..], &name].concat();
                return Answer::Packet(kind::NAME, list);
            }
            (kind::SETSTAT, Some(node)) => self.set(node, Some(&path), fields),
            (kind::REMOVE, Some(Node::File(_) | Node::Link(_))) => {
                self.nodes.remove(&path);
                code::OK
            }
            (kind::RMDIR, Some(Node::Directory { .. })) => {
                let below = [&*path, b"/"].concat();
                if self.nodes.keys().any(|path| path.starts_with(&below)) {
                    code::FAILURE
                } else {
                    self.nodes.remove(&path);
                    code::OK
                }
            }
            _ => code::FAILURE,
        };
        Answer::Status(code)
    }

    fn on_handle(
        &mut self,
        request: u8,
        handle: &[u8],
        index: usize,
        fields: &mut Fields<'_>,
    ) -> Answer {
        let file = &mut self.files[index];
        match request {
            kind::CLOSE => {
                self.handles.remove(handle);
            }
            kind::WRITE => {
                let at = fields.long() as usize;
                let data = fields.string();
                let end = file.content.len().max(at + data.len());
                file.content.resize(end, 0);
                file.content[at..at + data.len()].copy_from_slice(data);
                if self.rules.damages {
                    file.content[at] ^= 1;
                }
            }
            kind::FSETSTAT => {
                let code = self.set(&Node::File(index), None, fields);
                return Answer::Status(code);
            }
            _ => {
                let at = fields.long() as usize;
                let most = (fields.number() as usize).min(self.rules.most_read);
                let Some(rest) = file.content.get(at..).filter(|rest| !rest.is_empty()) else {
                    return Answer::Status(code::EOF);
                };
                return Answer::Packet(kind::DATA, string(&rest[..rest.len().min(most)]));
            }
        }
        Answer::Status(code::OK)
    }

    /// Returns the number of handles that are open.
    pub(super) fn open_handles(&self) -> usize {
        self.handles.len()
    }
}
