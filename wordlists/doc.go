// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package wordlists tells, offline and in about the time of one cache miss,
// whether a password is on a list of known passwords and how often it was seen
// there. A damaged file is an error, never a wrong answer.
//
// [Common] gives a list of 230,000 common passwords that is built in: it needs
// no file and undoes the usual disguises. [IsVendorDefault] knows what products
// are delivered with, and [Tweaks] how people vary a password.
//
// An [Index] is one file made from a corpus of password hashes, such as the
// Pwned Passwords, or from plain word lists. [Build] makes it, [Open] maps it,
// [Index.Count] and [Index.CountBatch] ask it, [Index.AppendRange] answers as
// the public range service does, [Index.Export] gives the text back. [Update]
// builds changed ranges in, [Fetch] downloads them, [Replace] and [Rollback]
// exchange whole files, [SignManifest] and [CheckManifest] vouch for them, and a
// [Handle] exchanges the index in use under load.
//
//	x, err := wordlists.Open("hibp.wwix", wordlists.Options{})
//	…
//	n, listed, err := x.Count(x.Kind().Key([]byte("password")))
//	if err != nil {
//		// Nothing is known about the password. This is not "not listed".
//	}
//
// # Limits
//
// Keys are hashes without salt or key; an index is as public as the list it
// was made from. Without [Options.Exact] a password that is not listed is
// reported as listed once in about six billion look-ups. Counts go to
// 4,294,967,295. The file is little-endian everywhere.
//
// # Format
//
// A WWIX file, version 1, is a header, a table, up to 4,096 segments and a
// footer:
//
//	0        header   4 KiB   magic, version, kind, flags, totals, name, canaries, CRC
//	4096     table    4,096 rows of 32 bytes, one a segment
//	135168   segments in order, without gaps, each a multiple of 64 bytes
//	end-128  footer   magic, length, SHA-256 of header and table, CRC
//
// The footer is written last, after everything else is on disk: a file without
// it was never finished. Open reads header, table and footer only. CRC is
// CRC-32C (RFC 3720, B.4). The header is
//
//	 0  8   magic "WWIX\r\n\x1a\n"        40  8   time of the build, Unix seconds
//	 8  2   version, 1                    48  8   length of the file
//	10  1   kind: 1 SHA-1, 2 NTLM         56  1   length of the name
//	11  1   flags: 1 full, 2 partial,     57  64  name
//	        4 words; others are refused  127  1   number of canaries
//	12  1   bits of the segment id, 12   128  24  each canary: hash 20, count 4
//	16  8   entries                     4092  4   CRC of the bytes before
//	24  8   sum of the counts
//	32  4   entries of the fullest prefix
//	36  4   entries of the emptiest
//
// and all other bytes are zero. A canary is an entry of the list by which an
// open file is asked whether it answers. A row of the table is
//
//	0  8  offset in the file      20  4  bytes of exceptions
//	8  4  entries                 24  1  layout: 0 empty, 1 lines, 2 plain
//	12 4  home lines, L           25  1  first hash byte of the tail, 0 without
//	16 4  lines stored            26  1  flags: 1 = two entries share a slot value
//	                              28  4  CRC of the segment's header
//
// # Segments
//
// A segment holds the hashes that share their first twelve bits, which is 256
// ranges of the public service. It stands alone: it can be checked, copied and
// rebuilt without the others.
//
//	header         128 bytes: magic, version, id, the row again, sums, CRCs
//	lines          64 bytes each
//	directory      8 bytes for each 16 lines, and one word more
//	exceptions     bytes, then zeros to a multiple of 8
//	tail checks    4 bytes for each 256 entries: CRC of their tails
//	tails          20 (NTLM: 16) bytes less the first kept one, by rank
//	zeros          to a multiple of 64
//
// Let pos be the first 64 bits of a hash, shifted left by the twelve that the
// segment stands for. Of the 128-bit product pos·L the upper half is the home
// line and the top 36 bits of the lower half are the remainder: addressing
// needs no directory, and home and remainder together ascend with the hash. A
// line is
//
//	        0      5                    55      60
//	       +------+------+--   --+------+-------------------------------+
//	       |slot 0|slot 1|  ...  |slot11| offset 10 | run 7 | check 15  |
//	       +------+------+--   --+------+-------------------------------+
//	slot:  remainder 36 bits, code 4 bits
//
// The entries whose home a line is are its run: so many slots, beginning that
// many slots after the line's first one. Runs follow each other in order, each
// at its home line or where the run before ends, so at a load of 95.5 % about
// nine in ten hits lie in the home line or the one after it. Codes 0 to 14 are
// counts of 1 to 15. Code 15 sends to the exceptions of the slot's 16 lines:
//
//	slot in the group, 1 byte; count less 16 as a varint; …; one check byte
//
// A directory word has the offset of its group's exceptions (26 bits), the rank
// of its first home's first entry (27) and a check (11). The tail of an entry,
// found by its rank, completes the hash: slot and home pin the first 64 bits to
// an interval of 2^16/L values, and the tail begins with the byte, from the
// seventh or eighth on, that tells those apart.
//
// A line's check is taken over its bytes, its number and its segment so that
// every single flipped bit and every block of zeros is noticed by the look-up
// that reads it, and 32,766 of 32,767 other changes; a directory word's and an
// exception list's are made alike, and tails have their CRCs. [Index.Verify]
// checks the CRC of every section, and with them every byte of the file.
//
// When a run is wider than its fields, which does not happen to hashes but to
// lists that were made by hand, the builder raises L by a quarter, up to ten
// times, and then stores the segment plain: 32 bytes an entry, in order, each
// of them hash 20, count 4, rank 4, CRC 4.
//
// # Size and speed
//
// A corpus of two billion hashes takes 5.75 bytes an entry with exact counts,
// 1.25 times what information theory asks for, and 18.8 with whole hashes,
// 1.13 times. The benchmarks measure look-ups as multiples of one random
// memory access to the same file, beside FastFilter/xorfilter and sorted
// searches, and say which of the figures that the format was designed for are
// met. How far ahead of a search an index is depends on the processor, which
// guesses where the search goes on and reads ahead; searches are measured
// without that too:
//
//	go test ./wordlists -run '^$' -bench . -benchtime 1x -v -wordlists.n 50000000
//
// With -wordlists.dir the corpus is kept for the next run, with -wordlists.huge
// it is mapped by pages of 2 MiB. With a billion entries
// (5.7 GB) leave out BenchmarkPeers and BenchmarkBuild, whose own copies of the
// corpus are larger still.
package wordlists
