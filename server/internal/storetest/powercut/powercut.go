// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build linux

// Package powercut is a disk, for tests, whose power can be cut. It is a FUSE
// file system with one directory. What was written and not synced is kept
// apart, in sectors of 512 bytes; at the cut each of them has reached the disk
// or has not, by the toss of a coin, and so have names that were made, moved or
// removed without syncing the directory. From then on every call fails.
//
// The program under test must be a process of its own: a page fault on a mapped
// file stops a Go program as a whole, and a program that serves the fault
// itself would wait for ever.
package powercut

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// SectorSize is what a disk writes whole or not at all, in bytes.
const SectorSize = 512

// Image is the content of a disk: file names and what is in them.
type Image map[string][]byte

// Disk is a mounted disk.
type Disk struct {
	Dir string

	server *fuse.Server

	mu      sync.Mutex
	now     map[string]*file // what programs see
	durable map[string]*file // the names as of the last sync of the directory
	left    int              // changes until the cut; below 0: never
	isCut   bool
	cut     chan struct{}
	syncs   int
}

// file is one file: what programs see, what is on the disk, and in which
// sectors the two differ.
type file struct {
	now, durable []byte
	dirty        map[int]bool
}

// Mount mounts a disk that holds image until the end of the test. Where FUSE is
// not to be had it skips the test, or fails it if the environment says CI.
func Mount(t testing.TB, image Image) *Disk {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") != "" {
		missing = t.Fatalf
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		missing("no /dev/fuse: power cuts are not tested")
	}
	d := &Disk{Dir: t.TempDir(), now: map[string]*file{}, left: -1, cut: make(chan struct{})}
	for name, b := range image {
		d.now[name] = &file{now: append([]byte(nil), b...), durable: append([]byte(nil), b...), dirty: map[int]bool{}}
	}
	d.durable = maps.Clone(d.now)
	server, err := fs.Mount(d.Dir, &root{disk: d}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMount: true, Name: "powercut", FsName: "powercut"},
	})
	if err != nil {
		missing("mounting with FUSE: %v: power cuts are not tested", err)
	}
	d.server = server
	t.Cleanup(d.Unmount)
	return d
}

// CutAfter cuts the power at the n-th change from now: a write, a sync, a
// change of size or of names.
func (d *Disk) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Cut cuts the power now.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutNow()
}

func (d *Disk) cutNow() {
	if !d.isCut {
		d.isCut = true
		close(d.cut)
	}
}

// WasCut is closed at the cut.
func (d *Disk) WasCut() <-chan struct{} { return d.cut }

// Syncs returns how many syncs of files there were.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Unmount cuts the power and takes the file system down. Processes that use it
// must have ended.
func (d *Disk) Unmount() {
	d.Cut()
	if err := d.server.Unmount(); err != nil {
		// A process that was killed may take a moment to let go.
		_ = syscall.Unmount(d.Dir, syscall.MNT_DETACH)
	}
}

// Survivors tosses the coins and returns what is on the disk after the cut.
func (d *Disk) Survivors(rnd *rand.Rand) Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.durable
	if rnd.IntN(2) == 0 {
		names = d.now
	}
	image := Image{}
	for name, f := range names {
		image[name] = f.survive(rnd)
	}
	return image
}

func (f *file) survive(rnd *rand.Rand) []byte {
	b := append([]byte(nil), f.durable...)
	size := len(f.durable)
	if len(f.now) != size && rnd.IntN(2) == 0 {
		size = len(f.now)
	}
	b = resize(b, size)
	for s := range f.dirty {
		if rnd.IntN(2) == 0 {
			continue
		}
		start := s * SectorSize
		end := min(start+SectorSize, len(f.now))
		if start >= end {
			continue
		}
		if end > len(b) { // the sector is on the disk, so the file reaches it
			b = resize(b, end)
		}
		copy(b[start:end], f.now[start:end])
	}
	return b
}

func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

// change counts one change and says whether there is still power for it.
func (d *Disk) change() bool {
	if d.isCut {
		return false
	}
	if d.left == 0 {
		d.cutNow()
		return false
	}
	if d.left > 0 {
		d.left--
	}
	return true
}

const noPower = syscall.EIO

type root struct {
	fs.Inode
	disk *Disk
}

var (
	_ fs.NodeOnAdder   = (*root)(nil)
	_ fs.NodeCreater   = (*root)(nil)
	_ fs.NodeUnlinker  = (*root)(nil)
	_ fs.NodeRenamer   = (*root)(nil)
	_ fs.NodeFsyncer   = (*root)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
)

func (r *root) OnAdd(ctx context.Context) {
	for name, f := range r.disk.now {
		r.AddChild(name, r.child(ctx, f), false)
	}
}

func (r *root) child(ctx context.Context, f *file) *fs.Inode {
	return r.NewPersistentInode(ctx, &node{disk: r.disk, file: f}, fs.StableAttr{Mode: syscall.S_IFREG})
}

func (r *root) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if !r.disk.change() {
		return nil, nil, 0, noPower
	}
	f := &file{dirty: map[int]bool{}}
	r.disk.now[name] = f
	out.Mode = syscall.S_IFREG | 0o600
	return r.child(ctx, f), nil, 0, 0
}

func (r *root) Unlink(ctx context.Context, name string) syscall.Errno {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if !r.disk.change() {
		return noPower
	}
	delete(r.disk.now, name)
	return 0
}

func (r *root) Rename(ctx context.Context, name string, _ fs.InodeEmbedder, newName string, _ uint32) syscall.Errno {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if !r.disk.change() {
		return noPower
	}
	r.disk.now[newName] = r.disk.now[name]
	delete(r.disk.now, name)
	return 0
}

func (r *root) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if !r.disk.change() {
		return noPower
	}
	r.disk.durable = maps.Clone(r.disk.now)
	return 0
}

type node struct {
	fs.Inode
	disk *Disk
	file *file
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.isCut {
		return nil, 0, noPower
	}
	return nil, 0, 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = uint64(len(n.file.now))
	return 0
}

func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		n.disk.mu.Lock()
		if !n.disk.change() {
			n.disk.mu.Unlock()
			return noPower
		}
		n.file.now = resize(n.file.now, int(size))
		n.disk.mu.Unlock()
	}
	return n.Getattr(ctx, h, out)
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.isCut {
		return nil, noPower
	}
	if off >= int64(len(n.file.now)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(append([]byte(nil), n.file.now[off:min(int(off)+len(dest), len(n.file.now))]...)), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if !n.disk.change() {
		return 0, noPower
	}
	end := int(off) + len(data)
	if end > len(n.file.now) {
		n.file.now = resize(n.file.now, end)
	}
	copy(n.file.now[off:], data)
	for s := int(off) / SectorSize; s*SectorSize < end; s++ {
		n.file.dirty[s] = true
	}
	return uint32(len(data)), 0
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if !n.disk.change() {
		return noPower
	}
	n.disk.syncs++
	f := n.file
	f.durable = resize(f.durable, len(f.now))
	for s := range f.dirty {
		start := s * SectorSize
		if end := min(start+SectorSize, len(f.now)); start < end {
			copy(f.durable[start:end], f.now[start:end])
		}
	}
	clear(f.dirty)
	return 0
}

// Write puts an image into the empty directory dir.
func (m Image) Write(dir string) error {
	var errs []error
	for name, b := range m {
		errs = append(errs, os.WriteFile(dir+"/"+name, b, 0o600))
	}
	return errors.Join(errs...)
}
