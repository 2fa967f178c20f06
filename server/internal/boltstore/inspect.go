// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// inspect reads what holds the file together, before bbolt maps it: bbolt has
// no checksum there, trusts every number, and follows a branch that points at
// its own ancestor until the stack is used up, which no recover can stop.
//
// It demands:
//   - both header pages valid, with transaction numbers one apart. A header fits
//     in one sector of 512 bytes, which a disk writes whole or not at all, so a
//     power cut leaves both valid; falling back to the older one, as bbolt does,
//     would silently take back the last acknowledged writes;
//   - each branch page to be what its parent says, its keys in order, its
//     children within the file and nobody else's;
//   - the list of free pages in order, within the file, without a page that is
//     in use.
//
// Leaf pages are not read: what they hold has checksums of its own. It returns
// the number of the last transaction. The file layout is bbolt's, version 2
// (github.com/etcd-io/bbolt, internal/common).
func inspect(path string) (lastTx int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("the store file is not a regular file")
	}
	in := &inspector{pageFile: pageFile{f: f}, size: info.Size()}
	meta, err := in.metas()
	if err != nil {
		return 0, err
	}
	in.pages = meta.pages
	in.seen = make([]byte, in.pages/8+1)
	in.mark(0)
	in.mark(1)
	if err := in.freelist(meta.freelist); err != nil {
		return 0, err
	}
	return int(meta.txid), in.rootTree(meta.root)
}

const (
	pageHeader = 16 // id 8, flags 2, count 2, overflow 4

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf element

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaLength  = 56 // up to the checksum

	// maxDepth is more than any tree has: even with two children a branch, 64
	// levels hold more pages than a disk.
	maxDepth = 64
	// maxOverflow bounds a page, in pages: the longest has one value of 1 MiB,
	// or the list of free pages, of which this allows for 128 GiB.
	maxOverflow = 1 << 16
)

type metaPage struct {
	root, freelist, pages, txid uint64
}

type inspector struct {
	pageFile
	size int64
	seen []byte // one bit a page
}

// mark notes that a page is in use and says whether it was free to be.
func (in *inspector) mark(id uint64) bool {
	if id >= in.pages || in.seen[id/8]&(1<<(id%8)) != 0 {
		return false
	}
	in.seen[id/8] |= 1 << (id % 8)
	return true
}

func (in *inspector) metas() (newest metaPage, err error) {
	var txids [2]uint64
	for i := range txids {
		b := make([]byte, pageHeader+metaLength+8)
		if _, err := in.f.ReadAt(b, int64(i)*pageSize); err == io.EOF {
			return metaPage{}, corrupt("it is too short to be one")
		} else if err != nil {
			return metaPage{}, err
		}
		b = b[pageHeader:]
		sum := fnv.New64a()
		sum.Write(b[:metaLength])
		e := binary.NativeEndian
		if e.Uint32(b) != metaMagic || e.Uint32(b[4:]) != metaVersion ||
			e.Uint32(b[8:]) != pageSize || e.Uint64(b[metaLength:]) != sum.Sum64() {
			return metaPage{}, corrupt("a header page is not valid")
		}
		m := metaPage{root: e.Uint64(b[16:]), freelist: e.Uint64(b[32:]), pages: e.Uint64(b[40:]), txid: e.Uint64(b[48:])}
		if txids[i] = m.txid; i == 0 || m.txid > newest.txid {
			newest = m
		}
	}
	if d := int64(txids[0] - txids[1]); d != 1 && d != -1 {
		return metaPage{}, corrupt("the header pages do not follow each other")
	}
	if newest.pages > uint64(in.size)/pageSize {
		return metaPage{}, corrupt("it is shorter than its header says")
	}
	return newest, nil
}

// pageFile reads the pages of a bbolt file below the high-water mark.
type pageFile struct {
	f     *os.File
	pages uint64
}

type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // the whole page with its overflow, header included
}

// read returns page id. What it finds there must say that it is this page and
// end before the high-water mark; nothing else is checked.
func (pf pageFile) read(id uint64) (page, error) {
	if id < 2 || id >= pf.pages {
		return page{}, corrupt("a page number is out of range")
	}
	b := make([]byte, pageSize)
	if err := pf.readAt(b, id); err != nil {
		return page{}, err
	}
	e := binary.NativeEndian
	overflow := uint64(e.Uint32(b[12:]))
	if e.Uint64(b) != id || overflow >= pf.pages-id || overflow > maxOverflow {
		return page{}, damagedPage(id)
	}
	if overflow > 0 {
		b = append(b, make([]byte, overflow*pageSize)...)
		if err := pf.readAt(b[pageSize:], id+1); err != nil {
			return page{}, err
		}
	}
	return page{id: id, flags: e.Uint16(b[8:]), count: int(e.Uint16(b[10:])), data: b}, nil
}

func damagedPage(id uint64) error {
	return corrupt(fmt.Sprintf("page %d is not what it should be", id))
}

func (pf pageFile) readAt(b []byte, id uint64) error {
	_, err := pf.f.ReadAt(b, int64(id)*pageSize)
	if err == io.EOF {
		return corrupt("it is shorter than its header says")
	}
	return err
}

// element is one element of a branch or leaf page.
type element struct {
	flags      uint32 // of a leaf
	key, value []byte // value of a leaf
	child      uint64 // of a branch
}

// elements returns the elements of a branch or leaf page. They must be in order,
// one behind the other, and fill the page with its overflow as far as bbolt
// would have allocated it: bbolt frees the overflow of a page that it replaces,
// so a wrong number there would give away pages of others.
func (p page) elements() ([]element, error) {
	const size = 16
	if p.count == 0 || pageHeader+size*p.count > len(p.data) || p.flags != flagBranch && p.flags != flagLeaf {
		return nil, damagedPage(p.id)
	}
	e := binary.NativeEndian
	es := make([]element, p.count)
	next := uint64(pageHeader + size*p.count) // where the next key must begin
	for i := range es {
		at := pageHeader + size*i
		b := p.data[at:][:size]
		var pos, klen, vlen uint64
		if p.flags == flagLeaf {
			es[i].flags = e.Uint32(b)
			pos, klen, vlen = uint64(e.Uint32(b[4:])), uint64(e.Uint32(b[8:])), uint64(e.Uint32(b[12:]))
		} else {
			pos, klen, es[i].child = uint64(e.Uint32(b)), uint64(e.Uint32(b[4:])), e.Uint64(b[8:])
		}
		start := uint64(at) + pos
		if start != next || start+klen+vlen > uint64(len(p.data)) {
			return nil, damagedPage(p.id)
		}
		next = start + klen + vlen
		es[i].key, es[i].value = p.data[start:start+klen], p.data[start+klen:next]
		if i > 0 && bytes.Compare(es[i-1].key, es[i].key) >= 0 {
			return nil, damagedPage(p.id)
		}
	}
	if uint64(len(p.data)) != (next+pageSize-1)/pageSize*pageSize {
		return nil, damagedPage(p.id)
	}
	return es, nil
}

// leaf follows key down the tree from root, as bbolt does, and returns the
// elements of the leaf page where it is or would be. Every page on the way must
// be sound, and each must begin with the key under which it was reached.
// Branches are remembered in seen.
func (pf pageFile) leaf(root uint64, key []byte, seen map[uint64][]element) (id uint64, es []element, err error) {
	var reachedBy []byte
	id = root
	for range maxDepth {
		es := seen[id]
		if es == nil {
			p, err := pf.read(id)
			if err != nil {
				return 0, nil, err
			}
			if es, err = p.elements(); err != nil {
				return 0, nil, err
			}
			if reachedBy != nil && !bytes.Equal(es[0].key, reachedBy) {
				return 0, nil, damagedPage(id)
			}
			if p.flags == flagLeaf {
				return id, es, nil
			}
			seen[id] = es
		}
		i, exact := slices.BinarySearchFunc(es, key, func(e element, k []byte) int { return bytes.Compare(e.key, k) })
		if !exact && i > 0 {
			i--
		}
		id, reachedBy = es[i].child, es[i].key
	}
	return 0, nil, corrupt("a tree is too deep")
}

// announce has the system read a page ahead. The pages of a level lie anywhere
// in the file, and a disk reads many at once in little more time than one.
func (in *inspector) announce(id uint64) {
	if id < in.pages {
		readAhead(in.f, int64(id)*pageSize, pageSize)
	}
}

// readMarked reads a page and marks it with its overflow.
func (in *inspector) readMarked(id uint64) (page, error) {
	p, err := in.read(id)
	if err != nil {
		return page{}, err
	}
	for i := range uint64(len(p.data) / pageSize) {
		if !in.mark(id + i) {
			return page{}, corrupt(fmt.Sprintf("page %d is in use twice", id+i))
		}
	}
	return p, nil
}

// freelist marks the pages on the list of free pages, so that a page in use
// that stands on it is found when the tree comes to it.
func (in *inspector) freelist(id uint64) error {
	p, err := in.readMarked(id)
	if err != nil {
		return err
	}
	if p.flags != flagFreelist {
		return corrupt("the list of free pages is not one")
	}
	ids, count := p.data[pageHeader:], uint64(p.count)
	if count == 0xFFFF { // the count is too large for its field, and stands first
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	// bbolt allocates for the list before it takes those pages off it, and so up
	// to one page too many.
	if count > uint64(len(ids))/8 || uint64(len(p.data)) > (count*8/pageSize+3)*pageSize {
		return corrupt("the list of free pages has not the length it says")
	}
	last := uint64(1)
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[8*i:])
		if id <= last || !in.mark(id) {
			return corrupt("the list of free pages is out of order")
		}
		last = id
	}
	return nil
}

// rootTree checks the list of buckets, and the tree of each.
func (in *inspector) rootTree(id uint64) error {
	p, err := in.readMarked(id)
	if err != nil {
		return err
	}
	buckets, err := p.elements()
	if err != nil {
		return err
	}
	if p.flags != flagLeaf { // a few short names always fit in one page
		return corrupt("the list of buckets is not one")
	}
	for _, b := range buckets {
		if b.flags != flagBucket || len(b.value) < 16 { // root 8, sequence 8
			return corrupt("the list of buckets is malformed")
		}
		if root := binary.NativeEndian.Uint64(b.value); root != 0 { // 0: the bucket is here, inline
			if err := in.tree(root); err != nil {
				return err
			}
		}
	}
	return nil
}

// tree checks the branch pages of one tree, level by level. All leaves of a
// bbolt tree stand at the same depth; the leftmost path tells it, so that no
// other leaf need be read.
func (in *inspector) tree(root uint64) error {
	depth, id := 0, root
	for {
		b := make([]byte, pageHeader+16)
		if id < 2 || id >= in.pages {
			return corrupt("a page number is out of range")
		}
		if err := in.readAt(b, id); err != nil {
			return err
		}
		e := binary.NativeEndian
		if e.Uint16(b[8:]) == flagLeaf {
			break
		}
		if e.Uint16(b[8:]) != flagBranch || depth == maxDepth {
			return damagedPage(id)
		}
		depth, id = depth+1, e.Uint64(b[pageHeader+8:])
	}
	level := []uint64{root}
	for range depth {
		var next []uint64
		for _, id := range level {
			in.announce(id) // one after the other, each would wait for the disk
		}
		for _, id := range level {
			children, err := in.branch(id)
			if err != nil {
				return err
			}
			next = append(next, children...)
		}
		level = next
	}
	for _, id := range level {
		if id < 2 || !in.mark(id) {
			return corrupt(fmt.Sprintf("page %d is in use twice or out of range", id))
		}
	}
	return nil
}

// branch checks one branch page and returns its children.
func (in *inspector) branch(id uint64) ([]uint64, error) {
	p, err := in.readMarked(id)
	if err != nil {
		return nil, err
	}
	es, err := p.elements()
	if err != nil {
		return nil, err
	}
	if p.flags != flagBranch {
		return nil, damagedPage(id)
	}
	children := make([]uint64, len(es))
	for i, e := range es {
		children[i] = e.child
	}
	return children, nil
}
