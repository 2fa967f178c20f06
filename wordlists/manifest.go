// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/watchword-project/watchword/wordlists/internal/whole"
)

// ErrSignature is returned for a manifest that none of the given keys signed,
// or that speaks of another file.
var ErrSignature = errors.New("wordlists: manifest is not signed by a known key or not for this file")

// Manifest says what an index file is, so that it can be handed on and still
// be trusted. It is kept as two lines of text: its JSON, and the Ed25519
// (RFC 8032) signature over that line in base64.
type Manifest struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	Version string    `json:"version"`
	Entries uint64    `json:"entries"`
	Built   time.Time `json:"built"`
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"` // of the whole file, in hexadecimal
}

// manifestContext keeps a signature from being taken for one over anything else.
const manifestContext = "watchword corpus manifest v1\n"

// ManifestPath is where the manifest of an index lies: beside it.
func ManifestPath(index string) string { return index + ".manifest" }

// SignManifest reads an index file through, checks it, and writes its manifest.
func SignManifest(ctx context.Context, path string, key ed25519.PrivateKey) (Manifest, error) {
	x, err := Open(path, Options{})
	if err != nil {
		return Manifest{}, err
	}
	defer x.Close()
	m, err := x.describe(ctx)
	if err != nil {
		return m, err
	}
	line, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	sig := ed25519.Sign(key, append([]byte(manifestContext), line...))
	text := fmt.Appendf(line, "\n%s\n", base64.StdEncoding.EncodeToString(sig))
	return m, whole.Write(ManifestPath(path), text)
}

// CheckManifest reads an index file through and compares it with its manifest,
// which one of the keys must have signed. It returns ErrSignature when either
// does not hold, or when there is no manifest.
func CheckManifest(ctx context.Context, path string, keys ...ed25519.PublicKey) (Manifest, error) {
	x, err := Open(path, Options{})
	if err != nil {
		return Manifest{}, err
	}
	defer x.Close()
	return x.checkManifest(ctx, path, keys)
}

// checkManifest compares the index, which was opened from path, with the
// manifest that lies beside it.
func (x *Index) checkManifest(ctx context.Context, path string, keys []ed25519.PublicKey) (Manifest, error) {
	var signed Manifest
	f, err := os.Open(ManifestPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return signed, ErrSignature
	} else if err != nil {
		return signed, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	f.Close()
	if err != nil {
		return signed, err
	}
	line, rest, _ := bytes.Cut(text, []byte{'\n'})
	sig, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(rest, []byte{'\n'})))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return signed, ErrSignature
	}
	good := false
	for _, key := range keys {
		good = good || len(key) == ed25519.PublicKeySize && ed25519.Verify(key, append([]byte(manifestContext), line...), sig)
	}
	if !good || json.Unmarshal(line, &signed) != nil {
		return Manifest{}, ErrSignature
	}
	is, err := x.describe(ctx)
	if err != nil {
		return Manifest{}, err
	}
	if !is.Built.Equal(signed.Built) {
		return Manifest{}, ErrSignature
	}
	is.Built = signed.Built
	if is != signed {
		return Manifest{}, ErrSignature
	}
	return signed, nil
}

// describe verifies an index and takes the digest of its file.
func (x *Index) describe(ctx context.Context) (m Manifest, err error) {
	if err := x.Verify(ctx); err != nil {
		return m, err
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	h := sha256.New()
	for rest := x.mem; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		n := min(len(rest), 16<<20)
		h.Write(rest[:n])
		rest = rest[n:]
	}
	i := x.info
	return Manifest{
		Name: i.Name, Kind: i.Kind.String(), Version: i.Version, Entries: i.Entries,
		Built: i.Built, Size: i.Size, SHA256: hex.EncodeToString(h.Sum(nil)),
	}, nil
}

// ReplaceOptions describe how a whole new index takes an old one's place.
type ReplaceOptions struct {
	// File is the index in use and From the one to take its place, which must
	// lie on the same file system. From is gone afterwards.
	File, From string
	// Keys, if any, must include the one that signed From's manifest.
	Keys []ed25519.PublicKey
	// Force lifts the bounds that Update describes.
	Force bool
}

// Replace puts a new index in the place of an old one, after reading it
// through, asking for its canaries and holding it to the bounds of Update. The
// old one is kept for Rollback, with its manifest. The bounds do not apply
// where there is no old one or it is damaged; a file that is no index at all is
// left alone.
func Replace(ctx context.Context, opts ReplaceOptions) (Info, error) {
	x, err := Open(opts.From, Options{})
	if err != nil {
		return Info{}, err
	}
	defer x.Close()
	if len(opts.Keys) > 0 {
		_, err = x.checkManifest(ctx, opts.From, opts.Keys)
	} else {
		err = x.Verify(ctx)
	}
	if err != nil {
		return Info{}, err
	}
	if err := x.CheckCanaries(); err != nil {
		return Info{}, err
	}
	old, err := Open(opts.File, Options{})
	switch {
	case err == nil:
		if !opts.Force {
			err = checkSuccessor(old, x)
		}
		if err := errors.Join(err, old.Close()); err != nil {
			return Info{}, err
		}
		if err := keepPrevious(opts.File); err != nil {
			return Info{}, err
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrCorrupt), opts.Force:
		// Nothing good is lost.
	default:
		return Info{}, err
	}
	if err := os.Rename(opts.From, opts.File); err != nil {
		return Info{}, err
	}
	if err := renameOrRemove(ManifestPath(opts.From), ManifestPath(opts.File)); err != nil {
		return Info{}, err
	}
	return x.Info(), whole.SyncDir(filepath.Dir(opts.File))
}

// renameOrRemove moves a file that goes along with another one; where there is
// none, it removes what stands in its place, which would speak of another file.
func renameOrRemove(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Remove(to); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return err
}
