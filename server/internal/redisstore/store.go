// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package redisstore keeps credentials and objects in Redis 7 or later: one
// server, a primary that sentinels watch, or a cluster.
//
// Each write is one Lua script that compares the version and writes, so Redis
// decides each race. Put is durable when the server runs with appendonly yes,
// appendfsync always and a noeviction policy, which CheckDurability looks at:
// Redis then syncs before it answers. Replication is asynchronous, whatever the
// settings: at a failover, what the old primary acknowledged and had not yet
// sent to the new one is lost. That is the time between an acknowledgement and
// its replication, milliseconds as a rule, and as long as a partition lasts
// unless min-replicas-to-write stops the old primary.
//
// No call is repeated after it may have reached a server, since the second run
// of a script that succeeded would report a conflict. So when a connection
// breaks, the error says that the outcome is unknown.
package redisstore

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Mode says what stands at the addresses of a Config.
type Mode string

// The modes. They are the values of the configuration file.
const (
	Single   Mode = "single"   // one server
	Sentinel Mode = "sentinel" // sentinels, which know where Master is
	Cluster  Mode = "cluster"  // some nodes of a cluster
)

// Config says how to reach Redis.
type Config struct {
	Mode   Mode // empty means Single
	Addrs  []string
	Master string // of Sentinel
	// Username and Password of the server. The role needs the commands EVALSHA,
	// EVAL, GET, SET, HGET, HMGET, HKEYS, HSET, HDEL, SCAN, PING, INFO and
	// CONFIG|GET, and CLUSTER on a cluster, on the keys ww:*.
	Username, Password string
	TLS                *tls.Config // nil: no TLS
	// DialTimeout bounds a connection attempt, and Timeout each read and write
	// of a call whose context has no earlier deadline. Zero means 1 s and 2 s.
	DialTimeout, Timeout time.Duration
	PoolSize             int // connections to each server; zero means 32
}

// Store is a connected store. Its methods may be called concurrently.
type Store struct {
	client redis.UniversalClient
}

var (
	_ verifier.Store = (*Store)(nil)
	_ objects.Store  = (*Store)(nil)
)

// Dial returns a client set up as this package needs it: no call is repeated
// after it may have been sent, and a context's deadline holds. It does not
// connect yet.
func Dial(c Config) (redis.UniversalClient, error) {
	if c.DialTimeout == 0 {
		c.DialTimeout = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.PoolSize == 0 {
		c.PoolSize = 32
	}
	o := redis.UniversalOptions{
		Addrs: c.Addrs, Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
		DialTimeout: c.DialTimeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolSize: c.PoolSize,
		MaxRetries: -1, ContextTimeoutEnabled: true, ClientName: "watchword",
	}
	if len(c.Addrs) == 0 {
		return nil, errors.New("redis: no address")
	}
	switch c.Mode {
	case Single, "":
		if len(c.Addrs) > 1 {
			return nil, errors.New("redis: more than one address in single mode")
		}
		return redis.NewClient(o.Simple()), nil
	case Sentinel:
		if c.Master == "" {
			return nil, errors.New("redis: sentinel mode needs the name of the master")
		}
		o.MasterName = c.Master
		return redis.NewFailoverClient(o.Failover()), nil
	case Cluster:
		co := o.Cluster()
		co.NewClient = func(o *redis.Options) *redis.Client {
			n := redis.NewClient(o)
			n.AddHook(onceOnly{})
			return n
		}
		return redis.NewClusterClient(co), nil
	}
	return nil, errors.New("redis: unknown mode")
}

// Open connects and makes sure that Redis answers.
func Open(ctx context.Context, c Config) (*Store, error) {
	client, err := Dial(c)
	if err != nil {
		return nil, err
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(failed("connecting", err), client.Close())
	}
	return &Store{client: client}, nil
}

// Close closes the connections.
func (s *Store) Close() error { return s.client.Close() }

// onceOnly keeps the cluster client from repeating a call on a broken
// connection, which it does whatever MaxRetries says: it hides that the error
// came from the network. Two kinds pass, after which a call may be repeated since
// it was not run: a connection that was never made, and the answers of a server,
// of which the client repeats MOVED, ASK, TRYAGAIN, LOADING and the like.
type onceOnly struct{}

func (onceOnly) DialHook(next redis.DialHook) redis.DialHook { return next }

func (onceOnly) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if hidden := hide(ctx, err); hidden != err {
			cmd.SetErr(hidden)
			return hidden
		}
		return err
	}
}

func (onceOnly) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return hide(ctx, next(ctx, cmds)) }
}

func hide(ctx context.Context, err error) error {
	var answer redis.Error
	var network *net.OpError
	if err == nil || errors.As(err, &answer) || errors.As(err, &network) && network.Op == "dial" {
		return err
	}
	return &outcomeUnknown{text: err.Error(), ctx: ctx.Err()}
}

// outcomeUnknown is a network error of which only the context's part can be
// seen from outside.
type outcomeUnknown struct {
	text string
	ctx  error
}

func (e *outcomeUnknown) Error() string { return e.text }
func (e *outcomeUnknown) Unwrap() error { return e.ctx }

func failed(what string, err error) error { return fmt.Errorf("redis: %s: %w", what, err) }

// ErrDamaged is returned when a value in Redis is not what was written there.
var ErrDamaged = errors.New("a value in Redis is damaged")

// Keys and values. Every key begins with ww: and has one hash tag, so that a
// script finds all it needs on one node of a cluster:
//
//	ww:{c/<tenant>/<subject in hex>}   string: version, 8 bytes big endian, and the record's byte form
//	ww:{o/<kind>}                      hash: <tenant>/<name> → version, data, CRC32C over field, version and data
//
// Tenant and name are escaped as in URL paths; an escaped text has no slash and
// no brace. Versions are compared as text, since a number in Lua has 53 bits.
const (
	keyPrefix    = "ww:{c/"
	versionBytes = 8
)

func credentialKey(tenant string, subject verifier.Pseudonym) string {
	return keyPrefix + url.PathEscape(tenant) + "/" + hex.EncodeToString(subject[:]) + "}"
}

func parseCredentialKey(key string) (tenant string, subject verifier.Pseudonym, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(key, "}"), keyPrefix)
	escaped, digits, cut := strings.Cut(rest, "/")
	tenant, err = url.PathUnescape(escaped)
	b, hexErr := hex.DecodeString(digits)
	if !ok || !cut || err != nil || hexErr != nil || len(b) != len(subject) {
		return "", subject, fmt.Errorf("%w: a key is malformed", ErrDamaged)
	}
	copy(subject[:], b)
	return tenant, subject, nil
}

func objectsKey(kind string) string { return "ww:{o/" + kind + "}" }

func objectField(tenant, name string) string {
	return url.PathEscape(tenant) + "/" + url.PathEscape(name)
}

func parseObjectField(field string) (tenant, name string, err error) {
	t, n, cut := strings.Cut(field, "/")
	tenant, err1 := url.PathUnescape(t)
	name, err2 := url.PathUnescape(n)
	if !cut || err1 != nil || err2 != nil {
		return "", "", fmt.Errorf("%w: a field is malformed", ErrDamaged)
	}
	return tenant, name, nil
}

func versionText(v uint64) string {
	return string(binary.BigEndian.AppendUint64(make([]byte, 0, versionBytes), v))
}

// Get implements verifier.Store.
func (s *Store) Get(ctx context.Context, tenant string, subject verifier.Pseudonym) (verifier.Record, error) {
	v, err := s.client.Get(ctx, credentialKey(tenant, subject)).Bytes()
	if errors.Is(err, redis.Nil) {
		return verifier.Record{}, verifier.ErrUnknownSubject
	}
	if err != nil {
		return verifier.Record{}, failed("reading a credential", err)
	}
	return parseRecord(tenant, subject, v)
}

func parseRecord(tenant string, subject verifier.Pseudonym, v []byte) (verifier.Record, error) {
	if len(v) < versionBytes {
		return verifier.Record{}, ErrDamaged
	}
	r, err := verifier.ParseRecord(tenant, subject, v[versionBytes:])
	if err != nil || r.Version != binary.BigEndian.Uint64(v) {
		return verifier.Record{}, ErrDamaged
	}
	return r, nil
}

// putScript writes ARGV[2] if what is stored has the version ARGV[1], or removes
// it for an empty ARGV[2]. It returns whether it did.
var putScript = redis.NewScript(`
local have = redis.call('GETRANGE', KEYS[1], 0, 7)
if have == '' then have = string.rep('\0', 8) end
if have ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1`)

// Remove implements verifier.Store.
func (s *Store) Remove(ctx context.Context, tenant string, subject verifier.Pseudonym, version uint64) error {
	if version == 0 {
		return verifier.ErrConflict
	}
	done, err := putScript.Run(ctx, s.client, []string{credentialKey(tenant, subject)}, versionText(version), "").Bool()
	return outcome(done, err, "removing a credential", verifier.ErrConflict)
}

// Put implements verifier.Store.
func (s *Store) Put(ctx context.Context, r verifier.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	value := verifier.AppendRecord(binary.BigEndian.AppendUint64(nil, r.Version), r)
	done, err := putScript.Run(ctx, s.client, []string{credentialKey(r.Tenant, r.Subject)}, versionText(r.Version-1), value).Bool()
	return outcome(done, err, "writing a credential", verifier.ErrConflict)
}

// outcome turns the answer of a script into an error.
func outcome(done bool, err error, what string, conflict error) error {
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
		return failed(what, err)
	case !done:
		return conflict
	}
	return nil
}

// scanCount is how many keys one step of All looks at.
const scanCount = 500

// All implements verifier.Store by SCAN over every primary. SCAN returns each
// key that exists all the time at least once; while a cluster moves slots or
// fails over, that holds for the keys that do not move.
func (s *Store) All(ctx context.Context) iter.Seq2[verifier.Record, error] {
	return func(yield func(verifier.Record, error) bool) {
		nodes, err := s.primaries(ctx)
		if err != nil {
			yield(verifier.Record{}, failed("finding the nodes", err))
			return
		}
		for _, n := range nodes {
			for cursor := uint64(0); ; {
				var keys []string
				keys, cursor, err = n.Scan(ctx, cursor, keyPrefix+"*", scanCount).Result()
				if err != nil {
					yield(verifier.Record{}, failed("walking over the keys", err))
					return
				}
				rs, err := s.records(ctx, keys)
				if err != nil {
					yield(verifier.Record{}, failed("reading credentials", err))
					return
				}
				for _, r := range rs {
					if !yield(r, nil) {
						return
					}
				}
				if cursor == 0 {
					break
				}
			}
		}
	}
}

// primaries returns a client for each server that holds keys.
func (s *Store) primaries(ctx context.Context) (nodes []redis.Cmdable, err error) {
	c, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{s.client}, nil
	}
	var mu sync.Mutex
	err = c.ForEachMaster(ctx, func(_ context.Context, n *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		return nil
	})
	return nodes, err
}

// records reads what stands under the keys, through the client that knows where
// each is now.
func (s *Store) records(ctx context.Context, keys []string) ([]verifier.Record, error) {
	if len(keys) == 0 {
		return nil, ctx.Err()
	}
	gets := make([]*redis.StringCmd, len(keys))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			gets[i] = p.Get(ctx, k)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	rs := make([]verifier.Record, 0, len(keys))
	for i, g := range gets {
		v, err := g.Bytes()
		if errors.Is(err, redis.Nil) { // credentials are not removed, but somebody may have done so by hand
			continue
		}
		if err != nil {
			return nil, err
		}
		tenant, subject, err := parseCredentialKey(keys[i])
		if err != nil {
			return nil, err
		}
		r, err := parseRecord(tenant, subject, v)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// saveScript sets the field ARGV[1] to ARGV[3], or removes it if ARGV[3] is
// empty, if what is stored has the version ARGV[2]. It returns whether it did.
var saveScript = redis.NewScript(`
local have = redis.call('HGET', KEYS[1], ARGV[1])
if have then have = string.sub(have, 1, 8) else have = string.rep('\0', 8) end
if have ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func objectSum(kind, field string, b []byte) uint32 {
	sum := crc32.Checksum([]byte(kind+"/"+field), castagnoli)
	return crc32.Update(sum, castagnoli, b)
}

func parseObject(kind, field, value string) (objects.Object, error) {
	tenant, name, err := parseObjectField(field)
	if err != nil {
		return objects.Object{}, err
	}
	b := []byte(value)
	if len(b) < versionBytes+4 {
		return objects.Object{}, ErrDamaged
	}
	body := b[:len(b)-4]
	if objectSum(kind, field, body) != binary.LittleEndian.Uint32(b[len(body):]) {
		return objects.Object{}, ErrDamaged
	}
	return objects.Object{Kind: kind, Tenant: tenant, Name: name, Version: binary.BigEndian.Uint64(body), Data: body[versionBytes:]}, nil
}

// Load implements objects.Store.
func (s *Store) Load(ctx context.Context, kind, tenant, name string) (objects.Object, error) {
	field := objectField(tenant, name)
	v, err := s.client.HGet(ctx, objectsKey(kind), field).Result()
	if errors.Is(err, redis.Nil) {
		return objects.Object{}, objects.ErrNotFound
	}
	if err != nil {
		return objects.Object{}, failed("reading an object", err)
	}
	return parseObject(kind, field, v)
}

// Save implements objects.Store.
func (s *Store) Save(ctx context.Context, o objects.Object) error {
	if err := o.Check(); err != nil {
		return err
	}
	field := objectField(o.Tenant, o.Name)
	value := append(binary.BigEndian.AppendUint64(make([]byte, 0, len(o.Data)+versionBytes+4), o.Version), o.Data...)
	value = binary.LittleEndian.AppendUint32(value, objectSum(o.Kind, field, value))
	done, err := saveScript.Run(ctx, s.client, []string{objectsKey(o.Kind)}, field, versionText(o.Version-1), value).Bool()
	return outcome(done, err, "writing an object", objects.ErrConflict)
}

// Delete implements objects.Store.
func (s *Store) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	if version == 0 || version > math.MaxInt64 {
		return objects.ErrConflict
	}
	done, err := saveScript.Run(ctx, s.client, []string{objectsKey(kind)}, objectField(tenant, name), versionText(version), "").Bool()
	return outcome(done, err, "deleting an object", objects.ErrConflict)
}

// listChunk is how many objects List reads with one call: at the greatest size,
// 16 MiB.
const listChunk = 16

// List implements objects.Store.
func (s *Store) List(ctx context.Context, kind, tenant string) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		all, err := s.client.HKeys(ctx, objectsKey(kind)).Result()
		if err != nil {
			yield(objects.Object{}, failed("listing objects", err))
			return
		}
		type place struct{ tenant, name, field string }
		var places []place
		for _, f := range all {
			t, n, err := parseObjectField(f)
			if err != nil {
				yield(objects.Object{}, err)
				return
			}
			if tenant == objects.AllTenants || t == tenant {
				places = append(places, place{t, n, f})
			}
		}
		slices.SortFunc(places, func(a, b place) int {
			if c := strings.Compare(a.tenant, b.tenant); c != 0 {
				return c
			}
			return strings.Compare(a.name, b.name)
		})
		for chunk := range slices.Chunk(places, listChunk) {
			fields := make([]string, len(chunk))
			for i, p := range chunk {
				fields[i] = p.field
			}
			values, err := s.client.HMGet(ctx, objectsKey(kind), fields...).Result()
			if err != nil {
				yield(objects.Object{}, failed("reading objects", err))
				return
			}
			for i, v := range values {
				text, ok := v.(string)
				if !ok { // deleted since
					continue
				}
				o, err := parseObject(kind, fields[i], text)
				if !yield(o, err) || err != nil {
					return
				}
			}
		}
	}
}

// CheckDurability returns, as sentences, the settings of each server under which
// what was acknowledged may be lost. No finding means that an acknowledged write
// survives the loss of power on the server that acknowledged it.
func (s *Store) CheckDurability(ctx context.Context) (findings []string, err error) {
	nodes, err := s.primaries(ctx)
	if err != nil {
		return nil, failed("finding the nodes", err)
	}
	for _, n := range nodes {
		got := map[string]string{}
		for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy"} {
			m, err := n.ConfigGet(ctx, name).Result()
			if err != nil {
				return nil, failed("reading settings", err)
			}
			got[name] = m[name]
		}
		switch {
		case got["appendonly"] != "yes":
			findings = append(findings, "Redis runs with appendonly "+got["appendonly"]+": a restart loses what came after the last snapshot; set it to yes")
		case got["appendfsync"] != "always":
			findings = append(findings, "Redis runs with appendfsync "+got["appendfsync"]+": a loss of power loses the last second or more; set it to always")
		}
		if got["maxmemory-policy"] != "noeviction" {
			findings = append(findings, "Redis runs with maxmemory-policy "+got["maxmemory-policy"]+": it may drop credentials when its memory is full; set it to noeviction")
		}
		info, err := n.Info(ctx, "persistence").Result()
		if err != nil {
			return nil, failed("reading the state of persistence", err)
		}
		if strings.Contains(info, "aof_last_write_status:err") {
			findings = append(findings, "Redis could not write its append-only file: look at its disk")
		}
	}
	return findings, nil
}
