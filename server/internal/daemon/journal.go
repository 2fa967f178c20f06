// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchword-project/watchword/server/internal/events"
	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Names in the data directory.
const (
	eventsFile     = "events.jsonl"
	checkpointFile = "events.checkpoint"
	subjectKeysDir = "subject-keys"
)

// eventLog gives what the event log is made of.
func (c Config) eventLog(dir dataDir, master []byte, now func() time.Time) events.Config {
	e := events.Config{Path: c.Events.Path, Checkpoint: c.Events.Checkpoint, Key: derive(master, "event chain"),
		Sign: ed25519.NewKeyFromSeed(derive(master, "event checkpoint")), Now: now}
	if e.Path == "" {
		e.Path = dir.path(eventsFile)
	}
	if e.Checkpoint == "" {
		e.Checkpoint = dir.path(checkpointFile)
	}
	return e
}

// journal puts what the edge and the daemon tell into the event log, with
// pseudonyms in the place of account ids.
type journal struct {
	log  *events.Log
	out  *slog.Logger
	who  func(tenant, subject string) (verifier.Pseudonym, error)
	keys *subjectKeys
	now  func() time.Time

	mu      sync.Mutex
	pending map[string]*tally
	order   []string
	over    uint64
	kick    chan struct{}
}

// tally is a refusal with how often it happened.
type tally struct {
	e events.Event
	n uint64
}

// A flood of refusals must not fill the disk: those alike within flushDenials
// become one line with their number, and beyond maxDenials kinds in that time
// only the number is kept.
const (
	flushDenials = time.Second
	maxDenials   = 512
)

func newJournal(l *events.Log, keys *subjectKeys, who func(tenant, subject string) (verifier.Pseudonym, error), out *slog.Logger, now func() time.Time) *journal {
	return &journal{log: l, out: out, who: who, now: now, keys: keys,
		pending: map[string]*tally{}, kick: make(chan struct{}, 1)}
}

// event turns a record of the edge into an event.
func (j *journal) event(r rpc.Record) events.Event {
	return events.Event{Time: j.now(), Type: r.Type, Tenant: r.Tenant, Actor: r.Actor, Peer: r.Peer, Request: r.Request,
		Outcome: r.Outcome, Params: r.Params, Subject: j.pseudonym(r.Tenant, r.Subject)}
}

// pseudonym gives the name under which the event log knows an account: it is
// not the one of the store, and cannot be told from it without the tenant's
// key.
func (j *journal) pseudonym(tenant, subject string) string {
	if subject == "" {
		return ""
	}
	p, err := j.who(tenant, subject)
	if err != nil {
		return "" // not an account id
	}
	return j.known(tenant, p)
}

// known gives the name under which the event log knows a subject of the store.
func (j *journal) known(tenant string, p verifier.Pseudonym) string {
	name, err := j.keys.name(tenant, p)
	if err != nil {
		j.out.Error("the key of a tenant's pseudonyms cannot be read: events go without the account", "tenant", tenant, "error", err)
	}
	return name
}

// Begin implements rpc.Journal.
func (j *journal) Begin(ctx context.Context, r rpc.Record) error {
	return j.log.Append(ctx, j.event(r))
}

// End implements rpc.Journal.
func (j *journal) End(r rpc.Record) { j.log.Note(j.event(r)) }

// Denied implements rpc.Journal.
func (j *journal) Denied(r rpc.Record) {
	key := strings.Join([]string{r.Type, r.Tenant, r.Actor, r.Peer, r.Subject, r.Outcome, r.Params["method"], r.Params["verdict"]}, "\x00")
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.pending[key]
	switch {
	case t != nil:
		t.n++
		return
	case len(j.pending) >= maxDenials:
		j.over++
		return
	}
	j.pending[key] = &tally{j.event(r), 1}
	j.order = append(j.order, key)
}

// run writes refusals until ctx ends.
func (j *journal) run(ctx context.Context) {
	every(ctx, flushDenials, j.flush)
}

func (j *journal) flush() {
	j.mu.Lock()
	pending, order, over := j.pending, j.order, j.over
	j.pending, j.order, j.over = map[string]*tally{}, nil, 0
	j.mu.Unlock()
	for _, k := range order {
		e := pending[k].e
		e.Params = maps.Clone(e.Params)
		e.Params["count"] = strconv.FormatUint(pending[k].n, 10)
		j.log.Note(e)
	}
	if over > 0 {
		j.log.Note(events.Event{Time: j.now(), Type: "denials.more", Actor: "server", Outcome: "DENIED",
			Params: map[string]string{"count": strconv.FormatUint(over, 10)}})
	}
}

// note records what the server itself did.
func (j *journal) note(typ, outcome string, params map[string]string) {
	j.log.Note(events.Event{Time: j.now(), Type: typ, Actor: "server", Outcome: outcome, Params: params})
}

// noteDisabled records that a credential was disabled because its attempts ran
// out.
func (s *Server) noteDisabled(tenant string, who verifier.Pseudonym) {
	s.journal.log.Note(events.Event{Time: s.journal.now(), Type: "credential.disabled", Tenant: tenant, Actor: "server", Outcome: "OK",
		Subject: s.journal.known(tenant, who), Params: map[string]string{"reason": "ATTEMPTS_EXHAUSTED"}})
}

// subjectKeys are the keys of the pseudonyms in the event log, one file for
// each tenant. They are in no backup: who destroys the file of a tenant makes
// strangers of everybody in its events.
type subjectKeys struct {
	dir  string
	mu   sync.Mutex
	keys map[string][]byte
}

func (k *subjectKeys) name(tenant string, p verifier.Pseudonym) (string, error) {
	key, err := k.key(tenant)
	if err != nil || len(key) == 0 { // destroyed: nobody is meant
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write(p[:])
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func (k *subjectKeys) key(tenant string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.keys[tenant]; key != nil {
		return key, nil
	}
	if !validTenant(tenant) {
		return nil, errors.New("not a tenant name")
	}
	if _, err := os.Lstat(filepath.Join(k.dir, tenant+markSuffix)); err == nil {
		return nil, nil
	}
	path := filepath.Join(k.dir, tenant+".key")
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = k.create(path)
	}
	if err != nil {
		return nil, err
	}
	if k.keys == nil {
		k.keys = make(map[string][]byte)
	}
	k.keys[tenant] = key
	return key, nil
}

func (k *subjectKeys) create(path string) ([]byte, error) {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, err
	}
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails: crypto/rand ends the program instead
	if err := writeSecret(path, hex.EncodeToString(key)); err != nil {
		return nil, err
	}
	return key, dataDir(k.dir).sync()
}

// openJournal opens the event log and notes the start.
func (s *Server) openJournal(c Config, dir dataDir, v *verifier.Verifier, now func() time.Time, patience time.Duration) error {
	master, err := readKey(dir.path(signingFile))
	if err != nil {
		return err
	}
	ec := c.eventLog(dir, master, now)
	ec.Patience = patience
	l, err := events.Open(ec)
	if err != nil {
		return fmt.Errorf("configuration: events: %w", err)
	}
	s.events = l
	s.journal = newJournal(l, s.tenants.names, v.Pseudonym, s.log, now)
	s.onClose(func(ctx context.Context) error {
		s.journal.flush()
		s.journal.note("server.stop", "OK", nil)
		limited, cancel := context.WithTimeout(ctx, eventsCloseLimit)
		defer cancel()
		return l.Close(limited)
	})
	var doors []string
	for _, d := range c.allDoors() {
		doors = append(doors, d.name+" "+d.addr)
	}
	slices.Sort(doors)
	s.journal.note("server.start", "OK", map[string]string{"doors": strings.Join(doors, ", ")})
	return nil
}

// eventsCloseLimit bounds what a stop waits for a disk that does not answer.
const eventsCloseLimit = 10 * time.Second

// VerifyEvents checks the event log of a data directory on which no server
// runs.
func VerifyEvents(c Config, dir string) (events.Report, error) {
	d := dataDir(dir)
	master, err := readKey(d.path(signingFile))
	if err != nil {
		return events.Report{}, err
	}
	return events.Verify(c.eventLog(d, master, time.Now))
}
