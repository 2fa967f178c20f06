// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/watchword-project/watchword/server/internal/daemon"
)

type backupCmd struct {
	Out string `arg:"" help:"File to write; it must not exist." type:"path"`
}

func (b *backupCmd) Run(c *cli) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) (err error) {
		f, err := os.OpenFile(b.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				err = errors.Join(err, os.Remove(b.Out)) // half a backup is none
			}
		}()
		w := bufio.NewWriter(f)
		if err := daemon.Backup(ctx, c.DataDir, config.Pepper.Keys, w); err != nil {
			return err
		}
		if err := errors.Join(w.Flush(), f.Sync()); err != nil {
			return err
		}
		fmt.Println("written. It opens with backup.key and is of use only with the pepper and signing.key: keep the three apart from it")
		return nil
	})
}

type restoreCmd struct {
	In      string `arg:"" help:"Backup." type:"path"`
	KeyFile string `help:"File that opens the backup (default: backup.key in the data directory)." type:"path"`
}

func (r *restoreCmd) Run(c *cli) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) error {
		f, err := os.Open(r.In)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := daemon.Restore(ctx, c.DataDir, config.Pepper.Keys, r.KeyFile, bufio.NewReader(f)); err != nil {
			return err
		}
		fmt.Println("restored. Accounts that were deleted, and passwords that were changed, after the backup was taken are as they were: repeat that. Waits and locks are left as they are")
		return nil
	})
}
