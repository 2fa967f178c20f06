// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/watchword-project/watchword/wordlists"
)

// corpusCmd works on files, whether or not a server runs: a server takes a
// changed file in by itself.
type corpusCmd struct {
	Build    corpusBuildCmd    `cmd:"" help:"Build an index from hashes, range files or words."`
	Update   corpusUpdateCmd   `cmd:"" help:"Build changed range files into an index."`
	Replace  corpusReplaceCmd  `cmd:"" help:"Put a new index in the place of another one."`
	Rollback corpusRollbackCmd `cmd:"" help:"Go back to the index before the last update or replacement."`
	Verify   corpusVerifyCmd   `cmd:"" help:"Check every byte of an index, and its signature."`
	Sign     corpusSignCmd     `cmd:"" help:"Write a signed manifest beside an index."`
	Key      corpusKeyCmd      `cmd:"" help:"Make a key that signs manifests."`
	Fetch    corpusFetchCmd    `cmd:"" help:"Download range files, resuming where it stopped."`
	Export   corpusExportCmd   `cmd:"" help:"Write an index as HASH:COUNT lines to standard output."`
	Private  corpusPrivateCmd  `cmd:"" help:"Make lists that others ask without showing the password."`
}

// interruptible runs f with a context that a signal ends.
func interruptible(f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := f(ctx)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run it again to go on")
	}
	return err
}

// tellEvery is how often progress is written where it is not drawn.
const tellEvery = 10 * time.Second

// progress draws one line on a terminal; elsewhere, as in a log, it writes a
// line now and then.
func progress(line func() string) func(done bool) {
	st, err := os.Stderr.Stat()
	if err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return func(done bool) {
			end := ""
			if done {
				end = "\n"
			}
			fmt.Fprintf(os.Stderr, "\r\033[K%s%s", line(), end)
		}
	}
	told := time.Now()
	return func(done bool) {
		if done || time.Since(told) >= tellEvery {
			told = time.Now()
			fmt.Fprintln(os.Stderr, line())
		}
	}
}

// remaining is the end of a line of progress: the time that is left, if that
// can be told.
func remaining(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return "  " + d.Round(time.Second).String() + " left"
}

type corpusBuildCmd struct {
	In      string `required:"" help:"Input file, folder of range files, or - for standard input."`
	Out     string `required:"" help:"Index to write." type:"path"`
	Kind    string `default:"sha1" enum:"sha1,ntlm" help:"Kind of hash: sha1 or ntlm."`
	From    string `default:"hashes" enum:"hashes,ranges,words" help:"What the input is: hashes, ranges or words."`
	Full    bool   `help:"Keep whole hashes, which range answers and exports need."`
	Partial bool   `help:"Take a corpus that is not complete."`
	Name    string `help:"Name of the corpus."`
	Workers int    `help:"Segments packed at once (default: one for each processor)."`
}

func (b *corpusBuildCmd) Run() error {
	kind, err := wordlists.ParseKind(b.Kind)
	if err != nil {
		return err
	}
	o := wordlists.BuildOptions{In: b.In, Out: b.Out, Kind: kind, From: wordlists.From(b.From), Full: b.Full, Partial: b.Partial,
		Name: b.Name, Workers: b.Workers}
	if b.In == "-" {
		o.In, o.Reader = "", os.Stdin
	}
	var now wordlists.Progress
	draw := progress(func() string { return drawn(now) })
	o.Progress = func(p wordlists.Progress) { now = p; draw(false) }
	return interruptible(func(ctx context.Context) error {
		res, err := wordlists.Build(ctx, o)
		draw(true)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d entries, version %s, %d bytes\n", res.Info.Name, res.Info.Entries, res.Info.Version, res.Info.Size)
		return nil
	})
}

func drawn(p wordlists.Progress) string {
	return fmt.Sprintf("%5.1f %%  %d entries  %.0f/s%s", 100*float64(p.Segments)/4096, p.Entries, p.Rate, remaining(p.ETA))
}

type corpusUpdateCmd struct {
	From  string `required:"" help:"Folder of range files."`
	File  string `arg:"" help:"Index to update." type:"path"`
	Force bool   `help:"Take a list that differs from the one before more than is plausible."`
}

func (u *corpusUpdateCmd) Run() error {
	var now wordlists.Progress
	draw := progress(func() string { return drawn(now) })
	return interruptible(func(ctx context.Context) error {
		res, err := wordlists.Update(ctx, wordlists.UpdateOptions{File: u.File, From: u.From, Force: u.Force,
			Progress: func(p wordlists.Progress) { now = p; draw(false) }})
		draw(true)
		if err != nil {
			return err
		}
		if res.Unchanged {
			fmt.Println("nothing changed")
			return nil
		}
		fmt.Printf("%s: %d entries, version %s (before: %s), %d ranges in %d segments\n",
			res.Info.Name, res.Info.Entries, res.Info.Version, res.Previous, res.Ranges, res.Segments)
		return nil
	})
}

type corpusReplaceCmd struct {
	From     string   `required:"" help:"Index to take the other one's place; it is moved." type:"path"`
	File     string   `arg:"" help:"Index to be replaced." type:"path"`
	SignedBy []string `help:"Public key of which one must have signed the new index's manifest." type:"path"`
	Force    bool     `help:"Take a list that differs from the one before more than is plausible."`
}

func (r *corpusReplaceCmd) Run() error {
	keys, err := publicKeys(r.SignedBy)
	if err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) error {
		info, err := wordlists.Replace(ctx, wordlists.ReplaceOptions{File: r.File, From: r.From, Keys: keys, Force: r.Force})
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d entries, version %s\n", info.Name, info.Entries, info.Version)
		return nil
	})
}

type corpusRollbackCmd struct {
	File string `arg:"" help:"Index to roll back." type:"path"`
}

func (r *corpusRollbackCmd) Run() error {
	return interruptible(func(ctx context.Context) error {
		info, err := wordlists.Rollback(ctx, r.File)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d entries, version %s\n", info.Name, info.Entries, info.Version)
		return nil
	})
}

type corpusKeyCmd struct {
	File string `arg:"" help:"Private key to write; the public one goes beside it, with .pub." type:"path"`
}

func (k *corpusKeyCmd) Run() error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	private, public, err := wordlists.EncodeKeys(key)
	if err != nil {
		return err
	}
	if err := writeNew(k.File, private, 0o600); err != nil {
		return err
	}
	return writeNew(k.File+".pub", public, 0o644)
}

// writeNew writes a file that must not exist.
func writeNew(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

type corpusSignCmd struct {
	Key  string `required:"" help:"Private key that signs." type:"path"`
	File string `arg:"" help:"Index to sign." type:"path"`
}

func (s *corpusSignCmd) Run() error {
	text, err := os.ReadFile(s.Key)
	if err != nil {
		return err
	}
	key, err := wordlists.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) error {
		m, err := wordlists.SignManifest(ctx, s.File, key)
		if err != nil {
			return err
		}
		fmt.Printf("%s: version %s signed in %s\n", m.Name, m.Version, wordlists.ManifestPath(s.File))
		return nil
	})
}

func publicKeys(paths []string) (keys []ed25519.PublicKey, err error) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		key, err := wordlists.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

type corpusVerifyCmd struct {
	File     string   `arg:"" help:"Index to check." type:"path"`
	SignedBy []string `help:"Public key of which one must have signed the manifest." type:"path"`
}

func (v *corpusVerifyCmd) Run() error {
	keys, err := publicKeys(v.SignedBy)
	if err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) error {
		if len(keys) > 0 {
			if _, err := wordlists.CheckManifest(ctx, v.File, keys...); err != nil {
				return err
			}
		}
		x, err := wordlists.Open(v.File, wordlists.Options{})
		if err != nil {
			return err
		}
		defer x.Close()
		if err := x.Verify(ctx); err != nil {
			return err
		}
		if err := x.CheckCanaries(); err != nil {
			return err
		}
		i := x.Info()
		fmt.Printf("%s: %s, %d entries, version %s, built %s: intact\n", i.Name, i.Kind, i.Entries, i.Version, i.Built.Format(time.RFC3339))
		return nil
	})
}

type corpusFetchCmd struct {
	Dir      string `required:"" help:"Folder that takes the range files." type:"path"`
	URL      string `default:"https://api.pwnedpasswords.com" help:"Service to ask."`
	Kind     string `default:"sha1" enum:"sha1,ntlm" help:"Kind of hash: sha1 or ntlm."`
	Parallel int    `default:"32" help:"Requests under way at once."`
	Force    bool   `help:"Get every range anew."`
}

func (f *corpusFetchCmd) Run() error {
	kind, err := wordlists.ParseKind(f.Kind)
	if err != nil {
		return err
	}
	var now wordlists.FetchProgress
	draw := progress(func() string {
		return fmt.Sprintf("%d of %d ranges  %.0f/s%s", now.Done, now.Total, now.Rate, remaining(now.ETA))
	})
	return interruptible(func(ctx context.Context) error {
		res, err := wordlists.Fetch(ctx, wordlists.FetchOptions{BaseURL: f.URL, Dir: f.Dir, Kind: kind, Parallel: f.Parallel, Force: f.Force,
			Progress: func(p wordlists.FetchProgress) { now = p; draw(false) }})
		draw(true)
		if err != nil {
			return err
		}
		fmt.Printf("%d ranges fetched, %d unchanged, %d at hand already\n", res.Fetched, res.Unchanged, res.Resumed)
		return nil
	})
}

type corpusExportCmd struct {
	File string `arg:"" help:"Index to export." type:"path"`
}

func (e *corpusExportCmd) Run() error {
	return interruptible(func(ctx context.Context) error {
		x, err := wordlists.Open(e.File, wordlists.Options{})
		if err != nil {
			return err
		}
		defer x.Close()
		w := bufio.NewWriterSize(os.Stdout, 1<<20)
		if err := x.Export(ctx, w); err != nil {
			return err
		}
		return w.Flush()
	})
}
