// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/pepper"
	"github.com/watchword-project/watchword/server/internal/rpc"
)

// backupFile holds the key that opens backups, an age identity.
const backupFile = "backup.key"

// label is what a backup says of what it depends on and does not hold.
type label struct {
	Pepper map[string]string `json:"pepper"` // check values
}

// backup writes the store as it is at one moment.
func (p *peppers) backup(store *boltstore.Store) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		checks, err := p.Ring().Checks(ctx)
		if err != nil {
			return err
		}
		b, err := json.Marshal(label{checks})
		if err != nil {
			return err
		}
		return store.Backup(ctx, w, b)
	}
}

// Backup writes an encrypted backup of a data directory, through the server
// that runs on it, or from the store itself when none runs. The key that opens
// it is made beside the data, in backup.key, and is as little part of it as the
// pepper is: keep both elsewhere.
func Backup(ctx context.Context, dir string, keys []PepperKey, w io.Writer) error {
	d := dataDir(dir)
	id, err := d.backupKey(true)
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, id.Recipient())
	if err != nil {
		return err
	}
	if err := plainBackup(ctx, dir, keys, sealed); err != nil {
		return err
	}
	return sealed.Close()
}

func plainBackup(ctx context.Context, dir string, keys []PepperKey, w io.Writer) error {
	o, err := Operate(dir)
	if errors.Is(err, ErrNotRunning) {
		return backupStopped(ctx, dir, keys, w)
	}
	if err != nil {
		return err
	}
	defer o.Close()
	stream, err := o.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, rpc.BackupMethod)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(&emptypb.Empty{}), stream.CloseSend()); err != nil {
		return err
	}
	for {
		var b wrapperspb.BytesValue
		switch err := stream.RecvMsg(&b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if _, err := w.Write(b.GetValue()); err != nil {
			return err
		}
	}
}

func backupStopped(ctx context.Context, dir string, keys []PepperKey, w io.Writer) error {
	store, err := boltstore.Open(dir, boltstore.Options{MustExist: true})
	if err != nil {
		return err
	}
	defer store.Close()
	p, err := openPepper(ctx, dataDir(dir), keys, store)
	if err != nil {
		return err
	}
	return p.backup(store)(ctx, w)
}

// backupKey reads the key of backups, or makes it.
func (d dataDir) backupKey(create bool) (*age.X25519Identity, error) {
	path := d.path(backupFile)
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, err
		}
		return id, errors.Join(writeSecret(path, id.String()), d.sync())
	}
	return readIdentity(path)
}

func readIdentity(path string) (*age.X25519Identity, error) {
	text, err := readSecret("the key of backups", path)
	if err != nil {
		return nil, err
	}
	id, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, errors.New("the key of backups is not an age identity (AGE-SECRET-KEY-1…)")
	}
	return id, nil
}

// Restore makes the store of a data directory from a backup. The directory has
// its keys and no store yet. identity is the file that opens the backup; empty
// means backup.key in the directory. A backup whose hashes are sealed under
// another pepper than the directory's is refused before anything is written.
// What the throttle keeps in the directory stays as it is: a backup neither
// lifts a lock nor brings one back.
func Restore(ctx context.Context, dir string, keys []PepperKey, identity string, r io.Reader) error {
	d := dataDir(dir)
	if done, err := d.initialised(); err != nil || !done {
		return errors.Join(err, errors.New("the data directory has no keys: restore pepper.key and signing.key first"))
	}
	if err := d.check(); err != nil {
		return err
	}
	id, err := d.backupKey(false)
	if identity != "" {
		id, err = readIdentity(identity)
	}
	if err != nil {
		return err
	}
	plain, err := age.Decrypt(r, id)
	if err != nil {
		return errors.New("the backup cannot be opened with this key, or is damaged")
	}
	return boltstore.Restore(ctx, dir, plain, func(b []byte) error {
		var l label
		if err := json.Unmarshal(b, &l); err != nil {
			return fmt.Errorf("label of the backup: %w", err)
		}
		return d.holds(ctx, keys, l.Pepper)
	})
}

// holds tells whether the directory's peppers are those that check values were
// made under.
func (d dataDir) holds(ctx context.Context, configured []PepperKey, checks map[string]string) error {
	p := &peppers{dir: d, keys: configured}
	list, err := p.configured(ctx)
	if len(configured) == 0 {
		list, err = p.files()
	}
	if err != nil {
		return err
	}
	if len(configured) == 0 && len(list) > 0 {
		list[0].State = pepper.Active // which one is in force stands in the store that is not there yet
	}
	ring, err := pepper.NewKeyring(list)
	if err != nil {
		return err
	}
	return ring.Verify(ctx, checks)
}
