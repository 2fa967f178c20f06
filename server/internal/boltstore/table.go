// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"os"

	"go.etcd.io/bbolt"
)

// A table is a linear hash table of checksummed blocks, kept in a bbolt bucket.
//
// bbolt has no checksum on its pages. In a plain tree a flipped bit in a branch
// key sends a look-up to the wrong leaf, and the answer is "not found". Here
// every block from 0 to blocks-1 exists, also when it is empty, and a key can be
// in one of them only; so "not found" is said by a block whose checksum was
// good, and a block that cannot be found or read is ErrCorrupt. A hit and a
// miss read the same bytes.
//
// The table grows by one block at a time (W. Litwin, "Linear hashing", VLDB
// 1980): block b splits into b and b+2^level, so growth costs one more block
// now and then and never a pause, and an entry moves to a higher block only,
// which lets a walk in ascending order miss nothing.
//
//	bucket "<name>":        key = block number, 4 bytes big endian
//
//	┌───────────────────────────────────────────────┬────────┐
//	│ entries                                       │ CRC32C │   checksum over name, block number, entries
//	│ key length │ key │ value length×2+far │ value │ 4 (LE) │   lengths are varints
//	└───────────────────────────────────────────────┴────────┘
//
//	bucket "<name>.far":    key = 8 bytes big endian, value = one long value
//
// A value longer than farLimit stands in the second bucket; its entry then
// holds the key there (8 bytes) and the CRC32C of the value (4 bytes), in place
// of the value, and counts the value's own length. An entry that is far stays
// far, and when it is removed an empty value stays behind: bbolt merges pages
// when it deletes, without a look at what they say of themselves.
type table struct {
	name string
}

const (
	// blockTarget is the mean size of a block, in bytes. Small blocks cost tree
	// nodes, large ones cost writing: 1.5 KiB is about six credentials, and
	// two or three blocks a page.
	blockTarget = 1536
	farLimit    = 1024
	farEntry    = 8 + 4
	maxBlocks   = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the state of a table. It stands in the bucket "format" under the
// table's name, with a checksum of its own.
type header struct {
	blocks  uint32 // how many; 0 is not valid
	entries uint64
	bytes   uint64 // sum of the lengths of all blocks, checksums aside
}

func (t table) createIn(tx *bbolt.Tx) error {
	for _, name := range []string{t.name, t.name + ".far"} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	o := openTable{table: t, main: tx.Bucket([]byte(t.name)), far: tx.Bucket([]byte(t.name + ".far"))}
	if err := o.writeBlock(0, nil); err != nil {
		return err
	}
	o.header.blocks = 1
	return o.writeHeader(tx)
}

// openTable is a table within one transaction.
type openTable struct {
	table
	main, far *bbolt.Bucket
	header    header

	// Of a transaction that writes: the file, the branch pages read and the leaf
	// pages found sound.
	file     *os.File
	branches map[uint64][]element
	sound    map[uint64]bool
}

func (t table) in(tx *bbolt.Tx) (*openTable, error) {
	o := &openTable{table: t, main: tx.Bucket([]byte(t.name)), far: tx.Bucket([]byte(t.name + ".far"))}
	format := tx.Bucket(formatBucket)
	if o.main == nil || o.far == nil || format == nil {
		return nil, corrupt("a bucket is missing")
	}
	b, ok := unseal(t.name, format.Get([]byte(t.name)))
	if !ok || len(b) != 4+8+8 {
		return nil, corrupt("the header of a table is damaged")
	}
	o.header = header{
		blocks:  binary.BigEndian.Uint32(b),
		entries: binary.BigEndian.Uint64(b[4:]),
		bytes:   binary.BigEndian.Uint64(b[12:]),
	}
	if o.header.blocks == 0 || o.header.blocks > maxBlocks {
		return nil, corrupt("the header of a table is damaged")
	}
	return o, nil
}

func (o *openTable) writeHeader(tx *bbolt.Tx) error {
	b := binary.BigEndian.AppendUint32(nil, o.header.blocks)
	b = binary.BigEndian.AppendUint64(b, o.header.entries)
	b = binary.BigEndian.AppendUint64(b, o.header.bytes)
	return tx.Bucket(formatBucket).Put([]byte(o.name), seal(o.name, b))
}

// seal appends a checksum over what names the bytes and the bytes themselves.
func seal(name string, b []byte) []byte {
	sum := crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, b)
	return binary.LittleEndian.AppendUint32(b, sum)
}

func unseal(name string, b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	body := b[:len(b)-4]
	sum := crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, body)
	return body, sum == binary.LittleEndian.Uint32(b[len(body):])
}

// home returns the block of key among the given number of blocks. SHA-256
// spreads keys of any shape evenly, and runs in hardware.
func home(key []byte, blocks uint32) uint32 {
	sum := sha256.Sum256(key)
	h := binary.LittleEndian.Uint32(sum[:])
	level := bits.Len32(blocks) - 1
	if i := h & (2<<level - 1); i < blocks {
		return i
	}
	return h & (1<<level - 1)
}

// readBlock returns the entries of a block, checked. They are the store's own
// memory, to be read within the transaction only.
func (o *openTable) readBlock(i uint32) ([]byte, error) {
	k := blockKey(i)
	b, ok := unseal(o.name+string(k), o.main.Get(k))
	if !ok {
		return nil, corrupt("a block is missing or damaged")
	}
	return b, nil
}

// writeBlock replaces block i, or adds it if it is the next.
func (o *openTable) writeBlock(i uint32, entries []byte) error {
	if err := o.checkLeaf(o.main, blockKey(i)); err != nil {
		return err
	}
	k := blockKey(i)
	return o.main.Put(k, seal(o.name+string(k), append(make([]byte, 0, len(entries)+4), entries...)))
}

// checkLeaf demands that the leaf page which a Put of key will rewrite is sound,
// and so are the pages above it.
//
// bbolt rewrites a leaf as a whole, finds its place in the branch above by the
// leaf's first key, and frees as many pages as the leaf says it has. If the key
// is damaged, the branch keeps pointing at the old page as well, and later
// look-ups may find old blocks, with checksums that are good; if the number is,
// pages of others are given away. So no leaf is rewritten before it has been
// looked at. The pages are those of the last commit, which are also what this
// transaction will replace; those it has seen are remembered.
func (o *openTable) checkLeaf(b *bbolt.Bucket, key []byte) error {
	if o.file == nil || b.Root() == 0 { // a file in the making, or a bucket without pages of its own
		return nil
	}
	if o.sound == nil {
		o.branches, o.sound = map[uint64][]element{}, map[uint64]bool{}
	}
	pf := pageFile{f: o.file, pages: uint64(b.Tx().Size()) / pageSize}
	id, es, err := pf.leaf(uint64(b.Root()), key, o.branches)
	if err != nil || o.sound[id] {
		return err
	}
	for _, e := range es {
		if e.flags != 0 {
			return damagedPage(id)
		}
		if b == o.main {
			if _, ok := unseal(o.name+string(e.key), e.value); !ok {
				return damagedPage(id)
			}
		}
	}
	o.sound[id] = true
	return nil
}

func blockKey(i uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 0, 4), i) }

// entry is one entry of a block. raw is all of it, and at is where it begins;
// value is the value or, when far, what tells where the value is.
type entry struct {
	key, value, raw []byte
	at              int
	far             bool
	size            uint64 // of the value itself
}

// nextEntry cuts the first entry off b. It trusts nothing: a block with a true
// checksum may still come from a faulty program.
func nextEntry(b []byte) (e entry, rest []byte, err error) {
	rest = b
	n, w := binary.Uvarint(rest)
	if w <= 0 || n > uint64(len(rest)-w) {
		return entry{}, nil, corrupt("a block is malformed")
	}
	e.key, rest = rest[w:w+int(n)], rest[w+int(n):]
	n, w = binary.Uvarint(rest)
	e.far, e.size = n&1 != 0, n>>1
	inline := e.size
	if e.far {
		inline = farEntry
	}
	if w <= 0 || inline > uint64(len(rest)-w) {
		return entry{}, nil, corrupt("a block is malformed")
	}
	e.value, rest = rest[w:w+int(inline)], rest[w+int(inline):]
	e.raw = b[:len(b)-len(rest)]
	return e, rest, nil
}

func find(block, key []byte) (e entry, found bool, err error) {
	for rest := block; len(rest) > 0; {
		at := len(block) - len(rest)
		if e, rest, err = nextEntry(rest); err != nil {
			return entry{}, false, err
		}
		if bytes.Equal(e.key, key) {
			e.at = at
			return e, true, nil
		}
	}
	return entry{}, false, nil
}

// resolve returns the value of e, from the far bucket if it is there.
func (o *openTable) resolve(e entry) ([]byte, error) {
	if !e.far {
		return e.value, nil
	}
	v := o.far.Get(e.value[:8])
	if v == nil || uint64(len(v)) != e.size || crc32.Checksum(v, castagnoli) != binary.LittleEndian.Uint32(e.value[8:]) {
		return nil, corrupt("a long value is missing or damaged")
	}
	return v, nil
}

// get returns the value of key, and whether there is one. The value is valid
// within the transaction only.
func (o *openTable) get(key []byte) (value []byte, found bool, err error) {
	block, err := o.readBlock(home(key, o.header.blocks))
	if err != nil {
		return nil, false, err
	}
	e, found, err := find(block, key)
	if err != nil || !found {
		return nil, false, err
	}
	value, err = o.resolve(e)
	return value, err == nil, err
}

// set writes or replaces the value of key; a nil value removes the key.
func (o *openTable) set(key, value []byte) error {
	i := home(key, o.header.blocks)
	block, err := o.readBlock(i)
	if err != nil {
		return err
	}
	old, found, err := find(block, key)
	if err != nil {
		return err
	}
	next := make([]byte, 0, len(block)+len(key)+len(value)+16)
	if found {
		next = append(append(next, block[:old.at]...), block[old.at+len(old.raw):]...)
		o.header.entries--
	} else {
		next = append(next, block...)
	}
	var place []byte // in the far bucket
	switch {
	case found && old.far:
		place = old.value[:8]
	case len(value) > farLimit:
		id, err := o.far.NextSequence()
		if err != nil {
			return err
		}
		place = binary.BigEndian.AppendUint64(nil, id)
	}
	if place != nil {
		if err := o.checkLeaf(o.far, place); err != nil {
			return err
		}
		if err := o.far.Put(place, value); err != nil {
			return err
		}
	}
	if value != nil {
		o.header.entries++
		next = append(binary.AppendUvarint(next, uint64(len(key))), key...)
		if place != nil {
			next = binary.AppendUvarint(next, uint64(len(value))<<1|1)
			next = append(next, place...)
			next = binary.LittleEndian.AppendUint32(next, crc32.Checksum(value, castagnoli))
		} else {
			next = append(binary.AppendUvarint(next, uint64(len(value))<<1), value...)
		}
	}
	o.header.bytes += uint64(len(next)) - uint64(len(block))
	if err := o.writeBlock(i, next); err != nil {
		return err
	}
	if o.header.blocks < blocksFor(o.header.bytes) {
		return o.split()
	}
	return nil
}

// blocksFor returns how many blocks a table of that many bytes should have.
func blocksFor(bytes uint64) uint32 { return uint32(min(bytes/blockTarget+1, maxBlocks)) }

// split adds one block and moves to it the entries that now belong there.
func (o *openTable) split() error {
	added := o.header.blocks
	from := added - 1<<(bits.Len32(added)-1)
	block, err := o.readBlock(from)
	if err != nil {
		return err
	}
	var stay, move []byte
	for rest := block; len(rest) > 0; {
		var e entry
		if e, rest, err = nextEntry(rest); err != nil {
			return err
		}
		switch home(e.key, added+1) {
		case from:
			stay = append(stay, e.raw...)
		case added:
			move = append(move, e.raw...)
		default:
			return corrupt("an entry is in a block that is not its own")
		}
	}
	if err := o.writeBlock(from, stay); err != nil {
		return err
	}
	if err := o.writeBlock(added, move); err != nil {
		return err
	}
	o.header.blocks++
	return nil
}

// each calls f with the entries of one block, values resolved.
func (o *openTable) each(i uint32, f func(key, value []byte) error) error {
	block, err := o.readBlock(i)
	if err != nil {
		return err
	}
	for len(block) > 0 {
		var e entry
		if e, block, err = nextEntry(block); err != nil {
			return err
		}
		v, err := o.resolve(e)
		if err != nil {
			return err
		}
		if err := f(e.key, v); err != nil {
			return err
		}
	}
	return nil
}
