// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
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
	in := &inspector{f: f, size: info.Size()}
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
)

type metaPage struct {
	root, freelist, pages, txid uint64
}

type inspector struct {
	f     *os.File
	size  int64
	pages uint64 // below the high-water mark
	seen  []byte // one bit a page
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

type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // the whole page with its overflow, header included
}

func (in *inspector) read(id uint64) (page, error) {
	if id < 2 || id >= in.pages {
		return page{}, corrupt("a page number is out of range")
	}
	b := make([]byte, pageSize)
	if err := in.readAt(b, id); err != nil {
		return page{}, err
	}
	e := binary.NativeEndian
	overflow := uint64(e.Uint32(b[12:]))
	if e.Uint64(b) != id || overflow >= in.pages-id {
		return page{}, corrupt(fmt.Sprintf("page %d is not what it should be", id))
	}
	if overflow > 0 {
		b = make([]byte, (overflow+1)*pageSize)
		if err := in.readAt(b, id); err != nil {
			return page{}, err
		}
	}
	for i := range overflow + 1 {
		if !in.mark(id + i) {
			return page{}, corrupt(fmt.Sprintf("page %d is in use twice", id+i))
		}
	}
	return page{id: id, flags: e.Uint16(b[8:]), count: int(e.Uint16(b[10:])), data: b}, nil
}

func (in *inspector) readAt(b []byte, id uint64) error {
	_, err := in.f.ReadAt(b, int64(id)*pageSize)
	if err == io.EOF {
		return corrupt("it is shorter than its header says")
	}
	return err
}

// freelist marks the pages on the list of free pages, so that a page in use
// that stands on it is found when the tree comes to it.
func (in *inspector) freelist(id uint64) error {
	p, err := in.read(id)
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
	if count > uint64(len(ids))/8 {
		return corrupt("the list of free pages is longer than its pages")
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

// rootTree checks the tree of buckets, and the tree of each bucket.
func (in *inspector) rootTree(id uint64) error {
	p, err := in.read(id)
	if err != nil {
		return err
	}
	if p.flags != flagLeaf { // five names always fit in one page
		return corrupt("the list of buckets is not one")
	}
	elements, err := p.elements(16)
	if err != nil {
		return err
	}
	for i, b := range elements {
		e := binary.NativeEndian
		pos, klen, vlen := uint64(e.Uint32(b[4:])), uint64(e.Uint32(b[8:])), uint64(e.Uint32(b[12:]))
		start := uint64(pageHeader+16*i) + pos + klen
		if e.Uint32(b) != flagBucket || vlen < 16 || start+vlen > uint64(len(p.data)) {
			return corrupt("the list of buckets is malformed")
		}
		if root := e.Uint64(p.data[start:]); root != 0 { // 0: the bucket is here, inline
			if err := in.tree(root); err != nil {
				return err
			}
		}
	}
	return nil
}

// elements returns the fixed parts of the page's elements.
func (p page) elements(size int) ([][]byte, error) {
	if pageHeader+size*p.count > len(p.data) {
		return nil, corrupt(fmt.Sprintf("page %d has more elements than room", p.id))
	}
	es := make([][]byte, p.count)
	for i := range es {
		es[i] = p.data[pageHeader+size*i:][:size]
	}
	return es, nil
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
			return corrupt(fmt.Sprintf("page %d is not what it should be", id))
		}
		depth, id = depth+1, e.Uint64(b[pageHeader+8:])
	}
	level := []uint64{root}
	for range depth {
		var next []uint64
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
	p, err := in.read(id)
	if err != nil {
		return nil, err
	}
	elements, err := p.elements(16)
	if err != nil {
		return nil, err
	}
	if p.flags != flagBranch || p.count == 0 {
		return nil, corrupt(fmt.Sprintf("page %d is not what it should be", id))
	}
	e := binary.NativeEndian
	children := make([]uint64, len(elements))
	var before []byte
	for i, b := range elements {
		start := uint64(pageHeader+16*i) + uint64(e.Uint32(b))
		end := start + uint64(e.Uint32(b[4:]))
		if end > uint64(len(p.data)) {
			return nil, corrupt(fmt.Sprintf("page %d is malformed", id))
		}
		key := p.data[start:end]
		if i > 0 && string(before) >= string(key) {
			return nil, corrupt(fmt.Sprintf("the keys of page %d are out of order", id))
		}
		before, children[i] = key, e.Uint64(b[8:])
	}
	return children, nil
}
