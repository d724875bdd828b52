// Package wire is the protocol between a sender and a receiver, version 1:
// this page specifies it, the rest of the package encodes and decodes it.
// Its law: every message is checked once, here, against limits that no
// message can raise; past the door values are trusted. It fails with an
// error that wraps ErrProtocol, which ends the session.
//
// # Transport
//
// Messages travel whole and in order over a Conn: one binary WebSocket message
// each, subprotocol "sync-directory.v1", at most MaxMessage bytes, only
// SmallMessage until both Hellos are through. Who listens and who dials has no
// influence on what follows the Hellos.
//
// With the subprotocol "sync-directory.v1.tls" the payloads of all binary messages, one
// after the other, are a stream of bytes instead, and that is TLS 1.3, in which both
// ends show keys that are derived from a token. Inside it are WebSocket frames once
// more, which carry the messages as above, close and ping. What is between the frames
// outside, by whomever, says nothing: a close there is a lost connection. Who dials ws
// with a token asks for this; over wss it is an option.
//
// # Who is who
//
// Both ends that are given a token, a secret text, prove that they know it before
// anything else is said, on every connection: by the keys of TLS inside, or by an HMAC
// over both nonces, both roles and the version, each with the end that it is of.
// SECURITY.md has the construction. A dialer that has not proved the token is closed
// with fault 5, in the same words and as late whatever it was that it said.
//
// # Session
//
//	dialer → listener   Knock            these three with a token, unless TLS inside
//	dialer ← listener   Challenge        has proved it
//	dialer → listener   Response
//
//	dialer → listener   Hello
//	dialer ← listener   Hello, or a close that says why not
//
//	sender ← receiver   Known            if both Hellos say that contents are cached
//	sender → receiver   Seal             root entry, digest and counts of the source
//	sender ← receiver   Ask …            about directories whose digests differ
//	sender → receiver   Listing …        until the receiver knows the whole source tree
//	sender ← receiver   Prove            of what content directories are that it has elsewhere
//	sender → receiver   Proof …
//	sender ← receiver   Want …           content, or digests of content
//	sender ← receiver   Signature …      what it has of a file, or of a fragment of one
//	sender ← receiver   Probe …          about the outline of a large file
//	sender → receiver   Pack, Chunk, End, Sums, Delta, Outline, Problem …   every want is answered once
//	sender ← receiver   Problem …        entries that could not be written or removed
//	sender ← receiver   Done             digest of the result, counts, outcome
//	sender → receiver   Verdict          digest of what was sent, outcome; then close
//	both ways           Progress         at any time, if the peer's Hello asks for it
//	both ways           Ack              at any time: so many messages have come
//
// A receiver whose directory is empty says so in its Hello (empty). The sender
// then streams without being asked: Listing messages in the order of the scan,
// a parent before its children, with Pack, Chunk and End of every file in them
// as if it had been wanted, then Seal; the receiver answers Done.
//
// # Going on over another connection
//
// A session outlives its connection. Both sides count the messages of the session,
// Hellos and Acks not among them, and keep what they have written, or know how to make it
// once more, until the peer has received it. It says so by an Ack at the latest when the
// messages that came since the last one would fill a megabyte, where each counts as the
// smallest of 256 bytes, 4, 64 and 256 KiB and MaxMessage that holds it; a sender keeps
// some megabytes and then waits, a receiver what it may have unanswered, and some. When a
// connection is lost (it fails, is ended by somebody between, or nothing comes for 30 s,
// of which pings make sure) the dialer makes another one and repeats its Hello with how many messages it has received
// (resume); the session is that of its Hello's session id, which nobody else knows. The
// listener leaves the old connection, if it holds it still, answers with its own first
// Hello and its own count, and both send what the other one lacks before anything new. A
// listener that does not know the session, or not any more, and a side that cannot send
// again what it has sent, since that has changed, closes with 4101, and the dialer begins
// another. A receiver that has said Done waits 10 s for the sender to come
// back, and then decides alone; a sender whose close was not answered after the Verdict
// goes on for as long to deliver it. Where the receiver closes with a failure meanwhile
// that is the outcome of the sender as well.
//
// # Contents
//
// Where either Hello asks for it (checksum), and the destination is not empty, the
// content digests of files are part of the digests of directories: both sides
// digest all content after their scan. So are they where both Hellos say that
// contents are cached and both sides find that they know, or quickly can know,
// nearly all: the receiver says so by Known, or that it does not as soon as it
// finds out; the sender waits for that before it seals, and the Seal says what has
// become of it (contents). Where nothing was to be changed after that, Done's digest
// covers contents too and says so. A sender that lacks more itself need not wait.
//
// # What is elsewhere
//
// A directory that is described with the digest of one that the destination has
// under another path need not be described further. But digests cover sizes and
// times, so both sides digest the content too: the receiver asks by Prove, while
// questions are still allowed, and takes the directory for its own where the
// Proof says the same; otherwise it asks about it as about any other. No directory
// is proved twice, nor one that is in another, or that another is in. A file of the size and time of one
// that the destination has elsewhere is wanted by its digest first.
//
// # Changed files
//
// A small file of which the receiver has another version is wanted with a
// Signature of that, and answered with a Delta; where that leads to anything but
// the content that its digest says, the file is wanted whole.
//
// A large one is wanted by a Probe that opens it. The sender outlines it (package
// delta) and tells the top, and before that, if it likes, of the groups of level 1 that
// it has read, complete ones in order from the first; the receiver, which outlines what it has, asks by
// further Probes for what is in the groups that it lacks, down to the segments;
// gets the ranges of segments that it lacks in fragments, with Signatures of what
// it has in their place; verifies these by the digests of the segments, and gets
// what does not match once more with a Signature of nothing; and closes the
// file, which the sender answers with an End whose number of Chunks is 0 and
// whose meta is that of the outline. At most MaxOutlines files are open at once,
// and MaxProbes Probes and fragments unanswered. A file that changed meanwhile
// is answered as one that is sent in Chunks: by an End that voids it, and anew.
// Where the receiver does not know whether its version differs it may ask by a Probe
// just as well as for the digest, and closes the file if nothing does, of which nothing is
// made then.
//
// Either side may end the session at any time by closing the connection with
// code 4000 plus a fault code (package fault: the exit codes of the command)
// and a reason in words; 4100 says that the listener is busy and to try again, 4101
// that the session to go on with is over. After 1000 too it is over; other codes below
// 4000 but 1002 and 1009 end the connection alone. A reason, as the cause of a Problem,
// names nothing of its side but entries below the root; who hears it does not trust it to
// be harmless to print.
// A message that is unknown, out of phase, or from the wrong side is fault 12.
//
// # No deadlock
//
// Both directions are read all the time. The sender takes Ask and Want into a
// queue, never waiting for room to write while it does; the queue is bounded
// because a receiver keeps at most MaxAsks questions and MaxWants wants
// unanswered, and a sender ends a session that goes beyond. The receiver may
// stop reading while its disk is slow: what it writes is read all the same, so
// the sender's waiting ends when the disk's does.
//
// # Limits
//
// None of them is raised by anything that a peer says, and 0 lifts none. What is beyond
// one is fault 12, at the latest when it is told of:
//
//	a message                  MaxMessage, SmallMessage but for content and descriptions
//	the same, expanded         MaxMessage, by what it declares and by what comes
//	a name, a link's target    tree.MaxName, tree.MaxTarget bytes
//	a path                     tree.MaxPath bytes below the root
//	directories above an entry tree.MaxDepth
//	entries of a source        tree.MaxEntries, MaxNumbers with what is described again
//	ranges of a description    tree.MaxEntries
//	names in a message         16 MiB in full
//	questions, wants           MaxAsks, MaxWants unanswered
//	large files                MaxOutlines outlined, MaxLarge begun at once; a Chunk MaxLead ahead
//	groups told of early       delta.MaxEarly of a file
//	probes, signatures         MaxProbes, MaxSigned bytes unanswered
//	words in control messages  1 KiB each
//
// A sender leaves out of its description what is beyond the limits of a path, and says so.
// How long nothing may come is up to each side (30 s without a sign of life), and how long
// nothing may go on (a timeout that it was given).
//
// # Ids
//
// The root is entry 0. Every entry in a Listing has the next number, opaque
// ones too, in the order of the bytes on the wire; both sides count. Ask,
// Want and their answers name entries by number. A sender answers only for
// numbers that it gave out, a receiver takes only answers that it wants.
//
// # Messages
//
//	byte 0   type
//	byte 1   flags: bit 0 the body is compressed; others 0
//	…        body
//
// The body of a Listing, Pack, Chunk, Delta or Outline may be compressed if the receiver's Hello
// has ability 1: it then is one Zstandard frame (RFC 8878) that states its content
// size, and with it the message is no longer than MaxMessage. Nobody compresses
// if either Hello's compression says none.
//
// Control messages are Protocol Buffers (control.proto): Hello, Seal, Problem,
// Done, Verdict, Progress, Known, Ack. Fields unknown to a reader are ignored, so that
// they can grow. The bodies that come by the million are laid out by hand.
// uvarint and varint (zigzag) are those of Protocol Buffers, in their shortest
// form; name is uvarint length and bytes; a digest is 32 bytes, a checksum 16
// (see package digest). Every body has exactly one encoding before it is
// compressed, but for the operations of a delta.
//
//	Ask      one or more of
//	           uvarint directory id, name from, name to, uvarint budget
//	         The entries with from ≤ name < to ("" is no bound). A budget in bytes
//	         bounds the answer, 0 asks for everything below, in full.
//
//	Listing  checksum of the rest of the body
//	         uvarint number of asks that are answered in full with this message
//	         sections, one or more:
//	           byte 1 entries | 2 ranges, uvarint directory id, name from, name to,
//	           uvarint count, then as many
//	           entries:  byte bits 0–2 tree.Type, 3 same time, 4 same permission, 5 digest, 6 closed, 7 sparse
//	                     uvarint bytes shared with the name before, name (the rest)
//	                     [uvarint permission]   unless same as the entry before
//	                     [varint seconds more than the entry before, uvarint nanoseconds]  unless same
//	                     file: uvarint size, [content digest]; directory: [digest]; link: name target
//	                     opaque: nothing after the name
//	           ranges:   name where the range ends ("" in the last), uvarint entries in it, digest
//	         The digests of ranges, and of directories that are not closed, are cut to
//	         their first 12 bytes: they tell what need not be asked for, and that of the
//	         root in the Seal proves the description as a whole.
//	         An answer begins with the asked range: as entries when the budget holds
//	         them, in one or several sections whose bounds join; else as ranges, whose
//	         bounds join too. What is left of the budget goes to the directories in it.
//	         The names in one message take at most 16 MiB when they are written in full.
//
//	Want     byte 1 content | 2 digest, then for every wanted file varint id minus the one before
//
//	Pack     checksum of the rest of the body, then whole files, one after the other:
//	           varint id minus the one before, meta, that many bytes of content
//	         meta is uvarint permission, varint seconds, uvarint nanoseconds, uvarint size:
//	         those of what was read, which stand for what the Listing said.
//
//	Chunk    checksum of the rest of the body, uvarint id, uvarint index, byte kind, then
//	           0 data:    content: ChunkSize bytes, fewer in the last
//	           1 extents: uvarint length, uvarint n, n times (uvarint gap, uvarint length),
//	                      the content of these extents; all between them is a hole
//	         A file from chunk number index on; length is a multiple of ChunkSize but at
//	         the end of the file, and at most ChunkSize where there are extents, MaxHole elsewhere. It is at most
//	         MaxLead chunks ahead of the first one that did not come yet.
//
//	End      uvarint id, byte 0 complete | 1 again, then for complete: meta, uvarint
//	         number of Chunks, checksum of their checksums in ascending order of index
//	         After complete all chunks are there. Again: the file changed while it was
//	         read; what came of it is void and it is sent anew.
//
//	Sums     for every file: varint id minus the one before, meta, content digest
//
//	Signature  8 bytes key (little-endian, odd), then one or more of
//	           uvarint id, byte 0 whole | 1 fragment: uvarint offset, uvarint length;
//	           uvarint blocks, and unless that is 0: uvarint block, uvarint tail, byte strong,
//	           for each block 4 bytes of its rolling sum and strong of its checksum
//
//	Delta      checksum of the rest of the body, then one or more of
//	           uvarint id, byte 0 whole: meta, content digest | 1 fragment: uvarint offset;
//	           uvarint length, that many bytes of operations (package delta)
//
//	Probe      uvarint id, byte 0 open: byte scale | 1 groups: byte level, then the numbers of
//	           groups, each as uvarint less the one before and 1 | 2 close
//
//	Outline    checksum of the rest of the body, uvarint id, byte 0 top: meta | 1 groups | 2 early;
//	           byte level of the nodes, then once, or for each of the groups: uvarint number
//	           of the first node, uvarint nodes, for each uvarint length, digest
//
//	Prove    for one or more described directories: varint id minus the one before
//
//	Proof    uvarint id, byte 0 none | 1: digest
//	         of the content below the directory: BLAKE3 over the content digests of the
//	         files in it and below, in the order of their names, a directory's where its name
//	         is. There is none where a file cannot be read, or is not what was described.
//
//	Knock      32 bytes nonce, byte role of the dialer: 1 sender | 2 receiver
//
//	Challenge  32 bytes nonce, byte role of the listener, 32 bytes MAC
//
//	Response   32 bytes MAC
//
// Types 27 to 31 are kept for what later minor versions add.
//
// # Digests of trees
//
// A directory's digest is BLAKE3 over its entries in ascending order of their
// names, opaque ones left out; it covers neither the directory's own name nor
// its own time, so a renamed directory keeps it. Package tree specifies the
// bytes. Times are first brought to what the receiver's file system holds (its
// Hello says what that is). The root digest also covers the root's own
// permission and time. A range's digest is the same over the entries in it.
package wire
