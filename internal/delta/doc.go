// Package delta says a new version of a file in terms of an old one. It is
// pure: whoever calls it reads and writes.
//
// Two mechanisms share the work, so that what crosses the wire grows with the
// change and not with the file.
//
// Between the versions of a large file: both sides cut their version into
// segments where its content says so (Cutter), so that an insertion moves the cuts
// with it, and digest the segments (Outline). Groups of segments have digests of
// their own, and groups of groups, cut by content too; whoever has the old
// version asks only below the digests that it lacks, and ends with a list of what
// it has, wherever that lies, and of the gaps between (Survey). Before it is done
// with its own outline (Growing), what is known of the other one tells where what it reads
// is likely to belong (Guess).
//
// Inside a small file, or a gap: the sums of the blocks of what lies there in
// the old version (Signature) let the other side find these blocks at any offset
// of the new one, with a sum that rolls over it, and send the rest (Encode,
// Patch). Those sums are short: what they led to must be verified by digest.
//
// Sources: A. Tridgell, Efficient Algorithms for Sorting and Synchronization
// (1999), for rolling sums; W. Xia et al., FastCDC (USENIX ATC 2016), for cuts
// with a gear hash that skips the least length; P. Bonnet et al. and the
// "prolly trees" of Noms for groups that are cut by content.
package delta
