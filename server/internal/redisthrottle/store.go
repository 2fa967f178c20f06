// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package redisthrottle keeps the throttle's lanes in Redis or Valkey: one
// server, Sentinel or Cluster.
//
// Every decision is one script on one slot, with the server's clock, and every
// key gets its time to live in the script that writes it:
//
//	ww:{<subject>}<channel>            subject lane, with its lanes subject × address
//	ww:{<subject>}d<channel><device>   a known device's lane
//	ww:{<subject>}l                    list of known devices
//	ww:{<subject>}n<nonce>             a settled reservation
//	ww:{<prefix>}                      a /24 or /48, with the lanes of what is in it
//
// Names are keyed digests in base64url; no subject and no address is ever
// stored. Keys of 28 bytes or less cost Redis 16 bytes less than longer ones,
// hence these. A subject counts eight addresses apart, and a prefix 256 of the
// narrower ones; while so many have failures that are not drained, all others
// share one rate, which admits less and never more than rates of their own.
//
// The user needs keys ww:* and the commands EVALSHA, EVAL, GET, SET, DEL, TIME,
// SETEX, PING and INFO, in a cluster CLUSTER SLOTS and CLUSTER SHARDS as well;
// HELLO, AUTH and CLIENT SETINFO are the client's own.
//
// On one server or under Sentinel a decision is one round trip. In a cluster
// it is one for the subject's slot and, if that admits, one for the address's;
// if the second refuses, the first is taken back. Each master is asked on its
// own: one that hangs holds nobody up but those whose slots it has.
//
// Replication is asynchronous: at a failover what was admitted during the last
// moments may be forgotten by the new master, so that a lane can get at most
// one budget more. Losing the store altogether is the Limiter's business: every
// error of this package that leaves it without an answer is throttle.ErrStore.
package redisthrottle

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/watchword-project/watchword/server/internal/throttle"
)

var (
	//go:embed rates.lua
	ratesPart string
	//go:embed subject.lua
	subjectPart string
	//go:embed decide.lua
	decidePart string

	// whole runs every operation; addresses only those of an address's slot,
	// since Redis makes the functions of a script anew for each run.
	whole     = newScript(ratesPart, subjectPart, decidePart)
	addresses = newScript(ratesPart, decidePart)
)

type script struct{ text, sha string }

// newScript joins the parts as they are sent: without comments, and with a
// number or a string for every name that a comment gives one.
func newScript(parts ...string) *script {
	var names []string
	var code strings.Builder
	for line := range strings.Lines(strings.Join(parts, "")) {
		list, comment := strings.CutPrefix(strings.TrimSpace(line), "--")
		if !comment {
			code.WriteString(line)
		} else if name, value, ok := strings.Cut(strings.TrimSpace(list), " = "); ok {
			names = append(names, name, value)
		}
	}
	text := regexp.MustCompile(`[A-Za-z_]+`).ReplaceAllStringFunc(code.String(), func(w string) string {
		if i := slices.Index(names, w); i >= 0 {
			return names[i+1]
		}
		return w
	})
	return scriptOf(text)
}

func scriptOf(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text, hex.EncodeToString(sum[:])}
}

// Config says where the store is.
type Config struct {
	// Mode is single (also if empty), sentinel or cluster.
	Mode string
	// Addrs are host:port: the server, the sentinels, or some nodes of the cluster.
	Addrs []string
	// Master is the name the sentinels know the master by.
	Master             string
	Username, Password string
	TLS                *tls.Config
	// Timeout bounds dialling, reading and writing each, 10 to 500 ms; 0 means
	// 150 ms. A call takes at most four times as long.
	Timeout time.Duration
}

// Store is a throttle.Store in Redis. It is safe for concurrent use.
type Store struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil unless in a cluster
	timeout time.Duration
	group   *group      // of a server alone, and of a cluster that has not answered yet
	nodes   sync.Map    // *group of each master of a cluster, by address
	mapped  atomic.Bool // the cluster has answered, so its nodes are known
	route   func(c *call) *group
	echo    atomic.Uint32
	reload  atomic.Int64 // unix ms of the last forced reload of the cluster's state
	// replay makes the scripts use the caller's clock, for tests that compare.
	replay bool
	whole  *script // runs every operation
}

// Open returns a store. It does not wait for the server: one that is down now
// is one that is lost, and the Limiter knows what to do.
func Open(c Config) (*Store, error) {
	if len(c.Addrs) == 0 {
		return nil, errors.New("redis throttle: no address")
	}
	if c.Timeout == 0 {
		c.Timeout = 150 * time.Millisecond
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > 500*time.Millisecond {
		return nil, errors.New("redis throttle: timeout out of bounds, want 10ms to 500ms")
	}
	s := &Store{timeout: c.Timeout, whole: whole}
	// No retries by the client: it cannot know that a command whose answer was
	// lost has charged already.
	switch c.Mode {
	case "", "single":
		if len(c.Addrs) != 1 {
			return nil, errors.New("redis throttle: single mode takes one address")
		}
		s.client = redis.NewClient(&redis.Options{
			Addr: c.Addrs[0], Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
			Protocol: 2, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
			DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		})
	case "sentinel":
		if c.Master == "" {
			return nil, errors.New("redis throttle: sentinel mode needs the master's name")
		}
		s.client = redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: c.Master, SentinelAddrs: c.Addrs,
			Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
			Protocol: 2, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
			DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		})
	case "cluster":
		s.cluster = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: c.Addrs, Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
			Protocol: 2, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
			DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
			ClusterStateReloadInterval: 2 * time.Second,
		})
		s.client = s.cluster
	default:
		return nil, errors.New("redis throttle: no such mode (single, sentinel, cluster)")
	}
	s.group = s.newGroup()
	s.route = s.together
	if s.cluster != nil {
		s.route = s.byNode
	}
	return s, nil
}

func (s *Store) newGroup() *group {
	g := &group{run: s.send, most: 32, patience: 4 * s.timeout}
	if s.cluster != nil {
		g.most = 64 // a call there is half a decision
	}
	return g
}

func (s *Store) together(*call) *group { return s.group }

// byNode gives each master of a cluster a group of its own, so that one that
// hangs holds up nobody but those who ask it.
func (s *Store) byNode(c *call) *group {
	if !s.mapped.Load() {
		return s.group // to ask for its nodes would have each call wait alone
	}
	node, err := s.cluster.MasterForKey(context.Background(), c.keys[0])
	if err != nil {
		return s.group
	}
	c.node = node
	addr := node.Options().Addr
	g, ok := s.nodes.Load(addr)
	if !ok {
		g, _ = s.nodes.LoadOrStore(addr, s.newGroup())
	}
	return g.(*group)
}

// Close ends all connections.
func (s *Store) Close() error { return s.client.Close() }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func slotOf(n throttle.Name) string {
	b := append(make([]byte, 0, slotSize), "ww:{"...)
	return string(append(base64.RawURLEncoding.AppendEncode(b, n[:]), '}'))
}

const slotSize = len("ww:{}") + 22

// poolKey names the subject lane of a channel.
func poolKey(slot string, c throttle.Channel) string { return slot + string('p'+rune(c)) }

func deviceKey(slot string, c throttle.Channel, id uint32) string {
	return slot + "d" + string('0'+rune(c)) + strconv.FormatUint(uint64(id), 16)
}

// ids are what the lanes of an address are kept under within a record; zero is none.
type ids struct{ near, middle, pair [4]byte }

// id cuts a name to what tells few lanes apart.
func id(n *throttle.Name) (i [4]byte) {
	if *n != (throttle.Name{}) {
		copy(i[:], n[:])
		i[3] |= 1 // never zero
	}
	return i
}

// addressKey returns the key of the address's record, if any of its lanes is
// limited, and puts their ids in into.
func addressKey(names *[3]throttle.Name, limits *[3]throttle.Limit, into *ids) string {
	if names[2] == (throttle.Name{}) || *limits == noLimits {
		return ""
	}
	if limits[0].Cost > 0 {
		into.near = id(&names[0])
	}
	if limits[1].Cost > 0 {
		into.middle = id(&names[1])
	}
	return slotOf(names[2])
}

// Flags of the packed numbers.
const (
	flagTagged     = 1
	flagChallenged = 2
	flagAsked      = 4
	flagShare      = 8
	flagAddress    = 16 // the address's record is among the keys
)

// numbers are what every operation takes, beside its keys.
type numbers struct {
	now     int64
	channel throttle.Channel
	device  uint32
	tag     uint16
	spare   uint16
	flags   byte
	u, k    *throttle.Numbers
	pair    throttle.Limit
	limits  *[3]throttle.Limit
	ids     ids
	echo    uint32
}

var noRules throttle.Numbers
var noLimits [3]throttle.Limit

func put48(b []byte, v int64) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40))
}

// rules packs the rules on their own: most decisions that travel together have
// the same, which then go along once.
func (n *numbers) rules() string {
	limits, u, k := n.limits, n.u, n.k
	if limits == nil {
		limits = &noLimits
	}
	if u == nil {
		u = &noRules
	}
	if k == nil {
		k = &noRules
	}
	b := put48(make([]byte, 0, rulesSize), u.SlowCost)
	for _, l := range [4]throttle.Limit{n.pair, limits[0], limits[1], limits[2]} {
		b = put48(put48(b, l.Cost), l.Room)
	}
	for _, r := range [2]*throttle.Numbers{u, k} {
		b = binary.LittleEndian.AppendUint16(b, uint16(r.Free))
		b = binary.LittleEndian.AppendUint16(b, uint16(r.Close))
		for _, v := range [5]int64{r.First, r.Longest, r.SlowCost, r.SlowRoom, r.Pending} {
			b = put48(b, v)
		}
	}
	return string(b)
}

const (
	rulesSize = 6 + 4*(6+6) + 2*(2+2+5*6)
	rulesAt   = 2 // where a packed operation names its set of rules
)

func (n *numbers) pack(op byte, keys int) []byte {
	b := append(make([]byte, 0, 64), op, byte(keys), 0)
	b = put48(b, n.now)
	b = append(b, byte(n.channel))
	b = binary.LittleEndian.AppendUint32(b, n.device)
	b = binary.LittleEndian.AppendUint16(b, n.tag)
	b = append(b, n.flags)
	b = binary.LittleEndian.AppendUint32(b, n.echo)
	b = append(b, n.ids.near[:]...)
	b = append(b, n.ids.middle[:]...)
	b = append(b, n.ids.pair[:]...)
	return binary.LittleEndian.AppendUint16(b, n.spare)
}

func (s *Store) clock(now int64) int64 {
	if s.replay {
		return max(now, 1)
	}
	return 0
}

// reply reads the packed answer of a script.
type reply struct {
	b  string
	ok bool
}

func (r *reply) take(n int) (v uint64) {
	if len(r.b) < n {
		r.ok = false
		return 0
	}
	for i := range n {
		v |= uint64(r.b[i]) << (8 * i)
	}
	r.b = r.b[n:]
	return v
}

// The operations of the script.
const (
	opBegin = 1 + iota
	opSettle
	opRates
	opRefund
	opList
	opPool
	opBooked
	opReset
	opClear
	opForget
)

// call runs one operation and returns its answer behind the echo.
func (s *Store) call(ctx context.Context, op byte, keys []string, n *numbers, tail ...byte) (*reply, error) {
	n.echo = s.echo.Add(1)
	c := &call{script: s.whole, keys: keys, rules: n.rules(), packed: append(n.pack(op, len(keys)), tail...)}
	if s.cluster != nil && (op == opRates || op == opRefund || op == opBooked || op == opClear) {
		c.script = addresses
	}
	text, err := s.route(c).do(ctx, c)
	if err != nil {
		return nil, s.failed(err)
	}
	r := &reply{b: text, ok: true}
	if echo := r.take(4); !r.ok || uint32(echo) != n.echo {
		// Another command's answer: the connection is out of step.
		return nil, fmt.Errorf("%w: answer does not belong to the question", throttle.ErrStore)
	}
	return r, nil
}

var errShort = fmt.Errorf("%w: answer cut short", throttle.ErrStore)

// failed sorts an error of the client. The texts of Redis errors name keys at
// most, and keys are digests.
func (s *Store) failed(err error) error {
	var answer redis.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &answer):
		err = fmt.Errorf("%w: %w: %v", throttle.ErrStore, throttle.ErrNoEffect, err)
	case errors.As(err, &dial) && dial.Op == "dial":
		s.stale()
		err = fmt.Errorf("%w: %w: %v", throttle.ErrStore, throttle.ErrNoEffect, err)
	default:
		s.stale()
		err = fmt.Errorf("%w: %v", throttle.ErrStore, err)
	}
	return err
}

// stale asks a cluster client for a fresh map of the slots, four times a second at most: on
// its own it would go on dialling a dead master.
func (s *Store) stale() {
	if s.cluster == nil {
		return
	}
	now := time.Now().UnixMilli()
	if last := s.reload.Load(); now-last >= 250 && s.reload.CompareAndSwap(last, now) {
		s.cluster.ReloadState(context.Background())
	}
}

// Begin implements throttle.Store.
func (s *Store) Begin(ctx context.Context, r *throttle.Request) (throttle.Grant, error) {
	slot := slotOf(r.Subject)
	n := numbers{
		now: s.clock(r.Now), channel: r.Channel, device: r.Device, tag: r.Tag, spare: r.Spare,
		u: &r.Unknown, k: &r.Known, pair: r.PairLimit, limits: &r.Limits,
	}
	if r.Tagged {
		n.flags |= flagTagged
	}
	if r.Challenged {
		n.flags |= flagChallenged
	}
	if r.Demand {
		n.flags |= flagAsked
	}
	if r.Share {
		n.flags |= flagShare
	}
	address := addressKey(&r.Address, &r.Limits, &n.ids)
	keys := append(make([]string, 0, 4), poolKey(slot, r.Channel))
	if address != "" && s.cluster == nil {
		n.flags |= flagAddress
		keys = append(keys, address)
	}
	keys = append(keys, slot+"l")
	if r.Device != 0 {
		keys = append(keys, deviceKey(slot, r.Channel, r.Device))
	}
	n.ids.pair = id(&r.Pair)
	a, err := s.call(ctx, opBegin, keys, &n)
	if err != nil {
		return throttle.Grant{}, err
	}
	g := throttle.Grant{
		Why: throttle.Reason(a.take(4)), Retry: int64(a.take(6)), Kind: throttle.Kind(a.take(1)),
		Tag: uint16(a.take(2)),
	}
	marks := a.take(1)
	g.Tagged, g.Known, g.Twin, g.Firm, g.NoneOpen = marks&1 != 0, marks&2 != 0, marks&4 != 0, marks&8 != 0, marks&16 != 0
	g.At = int64(a.take(6))
	if !a.ok {
		return throttle.Grant{}, errShort
	}
	if s.cluster == nil || address == "" || g.Kind == 0 || g.Known {
		return g, nil
	}
	// The address lives in another slot. Whatever goes wrong from here is
	// taken back; if even that fails, the subject has one failure too many.
	m := numbers{now: n.now, limits: &r.Limits, ids: n.ids}
	a, err = s.call(ctx, opRates, []string{address}, &m, byte(g.Kind))
	if err == nil {
		why, retry := throttle.Reason(a.take(4)), int64(a.take(6))
		if a.ok && why == 0 {
			return g, nil
		}
		if a.ok {
			g.Why, g.Retry = why, retry
		} else {
			err = errShort
		}
	}
	undo := throttle.Settlement{
		Lanes: r.Lanes, Now: r.Now, At: g.At, Kind: g.Kind, Tag: g.Tag, Tagged: g.Tagged, Outcome: throttle.Cancelled,
	}
	undo.Address = [3]throttle.Name{}
	rand.Read(undo.Nonce[:])
	if _, undone := s.Settle(context.WithoutCancel(ctx), &undo); undone != nil && err == nil {
		err = undone
	}
	g.Kind = 0
	return g, err
}

// Settle implements throttle.Store.
func (s *Store) Settle(ctx context.Context, x *throttle.Settlement) (throttle.Settled, error) {
	slot := slotOf(x.Subject)
	n := numbers{
		now: s.clock(x.Now), channel: x.Channel, device: x.Device, tag: x.Tag,
		u: &x.Unknown, k: &x.Known, pair: x.PairLimit, limits: &x.Limits,
	}
	if x.Tagged {
		n.flags |= flagTagged
	}
	address := addressKey(&x.Address, &x.Limits, &n.ids)
	keys := append(make([]string, 0, 5), poolKey(slot, x.Channel), slot+"l")
	if address != "" && s.cluster == nil {
		n.flags |= flagAddress
		keys = append(keys, address)
	}
	if x.Device != 0 {
		keys = append(keys, deviceKey(slot, x.Channel, x.Device))
	}
	keys = append(keys, slot+"n"+b64(x.Nonce[:]))
	tail := put48(nil, x.At)
	tail = append(tail, byte(x.Kind), byte(x.Outcome), bit(x.OnList))
	tail = binary.LittleEndian.AppendUint32(tail, x.Enrol)
	tail = binary.LittleEndian.AppendUint16(tail, x.Until)
	tail = append(tail, bit(x.Report))
	n.ids.pair = id(&x.Pair)
	a, err := s.call(ctx, opSettle, keys, &n, tail...)
	if err != nil {
		return throttle.Settled{}, err
	}
	out := throttle.Settled{
		Before: throttle.Outcome(a.take(1)), Expired: a.take(1) == 1, Known: a.take(1) == 1,
		Enrolled: uint32(a.take(4)), Wiped: int64(a.take(4)), ClosedIt: a.take(1) == 1, NoneOpen: a.take(1) == 1,
	}
	kind := throttle.Kind(a.take(1)) // of what was reported, or as it was
	if !a.ok {
		return throttle.Settled{}, errShort
	}
	failed := x.Outcome == throttle.BadSecret || x.Outcome == throttle.SecondFactorFailed
	if s.cluster != nil && address != "" && !out.Known && !out.Expired && out.Before == 0 && failed == x.Report && (!failed || kind == throttle.Charged) {
		m := numbers{now: n.now, limits: &x.Limits, ids: n.ids}
		// A refund that is lost leaves the address charged, no more.
		s.call(ctx, opRefund, []string{address}, &m, byte(kind), byte(x.Outcome), bit(x.Report))
	}
	return out, nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// list returns the numbers of the subject's known devices, or of all on its list
// whether or not they are known still, and the server's time.
func (s *Store) list(ctx context.Context, slot string, now int64, all bool) (ids []uint32, at int64, err error) {
	a, err := s.call(ctx, opList, []string{slot + "l"}, &numbers{now: s.clock(now)})
	if err != nil {
		return nil, 0, err
	}
	at = int64(a.take(6))
	for len(a.b) > 0 && a.ok {
		if id := uint32(a.take(4)); a.take(1) == 1 || all {
			ids = append(ids, id)
		}
	}
	if !a.ok {
		return nil, 0, errShort
	}
	return ids, at, nil
}

// View implements throttle.Store. With an empty target it asks whether the
// store takes writes: every node of a cluster, or the server.
func (s *Store) View(ctx context.Context, t *throttle.Target, now int64) (throttle.View, error) {
	var v throttle.View
	if t.Subject == (throttle.Name{}) && t.Address[2] == (throttle.Name{}) {
		return v, s.probe(ctx)
	}
	n := numbers{now: s.clock(now), limits: &t.Limits}
	if address := addressKey(&t.Address, &t.Limits, &n.ids); address != "" {
		a, err := s.call(ctx, opBooked, []string{address}, &n)
		if err != nil {
			return v, err
		}
		v.Now = int64(a.take(6))
		for i := range v.Address {
			v.Address[i] = int64(a.take(6))
		}
		if !a.ok {
			return v, errShort
		}
	}
	if t.Subject == (throttle.Name{}) {
		return v, nil
	}
	slot := slotOf(t.Subject)
	ids, at, err := s.list(ctx, slot, now, false)
	if err != nil {
		return v, err
	}
	v.Now, v.DevicesKnown = at, len(ids)
	look := func(key string, c throttle.Channel, rules *throttle.Numbers) (throttle.LaneView, error) {
		a, err := s.call(ctx, opPool, []string{key}, &numbers{now: s.clock(now), u: rules})
		if err != nil {
			return throttle.LaneView{}, err
		}
		a.take(6)
		l := throttle.LaneView{
			Channel: c, Failures: int64(a.take(2)), Awaited: int64(a.take(2)), Until: int64(a.take(6)), Closed: a.take(1) == 1,
		}
		if !a.ok {
			err = errShort
		}
		return l, err
	}
	for c := range throttle.Channel(len(v.Unknown)) {
		if v.Unknown[c], err = look(poolKey(slot, c), c, &t.Unknown[c]); err != nil {
			return v, err
		}
	}
	for _, id := range ids {
		for c := range throttle.Channel(len(v.Unknown)) {
			l, err := look(deviceKey(slot, c, id), c, &t.Known[c])
			if err != nil {
				return v, err
			}
			if l.Failures > 0 || l.Closed {
				v.Devices = append(v.Devices, l)
			}
		}
	}
	return v, nil
}

// probe writes and forgets a key, on every master of a cluster.
func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*s.timeout)
	defer cancel()
	ask := func(ctx context.Context, c redis.Cmdable) error {
		return c.SetEx(ctx, "ww:{probe}", "1", time.Second).Err()
	}
	if s.cluster == nil {
		if err := ask(ctx, s.client); err != nil {
			return s.failed(err)
		}
		return nil
	}
	s.stale()
	if err := s.cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() }); err != nil {
		return s.failed(err)
	}
	if err := ask(ctx, s.client); err != nil {
		return s.failed(err)
	}
	return nil
}

// Reset implements throttle.Store.
func (s *Store) Reset(ctx context.Context, t *throttle.Target, now int64) error {
	n := numbers{now: s.clock(now), limits: &t.Limits}
	if address := addressKey(&t.Address, &t.Limits, &n.ids); address != "" {
		if _, err := s.call(ctx, opClear, []string{address}, &n); err != nil {
			return err
		}
	}
	if t.Subject == (throttle.Name{}) {
		return nil
	}
	slot := slotOf(t.Subject)
	// A clock that goes back makes known again what was no more.
	ids, _, err := s.list(ctx, slot, now, true)
	if err != nil {
		return err
	}
	keys := []string{slot + "l"}
	for c := range throttle.Channel(len(t.Unknown)) {
		keys = append(keys, poolKey(slot, c))
		for _, id := range ids {
			keys = append(keys, deviceKey(slot, c, id))
		}
	}
	_, err = s.call(ctx, opReset, keys, &numbers{now: s.clock(now)})
	return err
}

// Revoke implements throttle.Store.
func (s *Store) Revoke(ctx context.Context, subject throttle.Name, now int64) error {
	_, err := s.call(ctx, opForget, []string{slotOf(subject) + "l"}, &numbers{now: s.clock(now)})
	return err
}

// Facts are what an operator should know of the server behind a store.
type Facts struct {
	Version string
	// EvictionPolicy is the server's maxmemory-policy. Counters want noeviction
	// or volatile-ttl, which lets those go first that are nearest to forgotten.
	EvictionPolicy string
	MaxMemory      int64 // bytes; 0 is no limit
	AppendOnly     bool
	Replicas       int
}

// Warnings says, in sentences, what is wrong with the server for counters.
func (f Facts) Warnings() []string {
	if f.EvictionPolicy == "noeviction" || f.EvictionPolicy == "volatile-ttl" {
		return nil
	}
	return []string{"Redis runs with maxmemory-policy " + f.EvictionPolicy +
		": under memory pressure it may forget locks before it forgets anything else; set it to noeviction, or to volatile-ttl if it keeps nothing but counters"}
}

// Inspect asks the server, or one node of a cluster, about itself.
func (s *Store) Inspect(ctx context.Context) (Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*s.timeout)
	defer cancel()
	text, err := s.client.Info(ctx).Result()
	if err != nil {
		return Facts{}, s.failed(err)
	}
	var f Facts
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			f.Version = value
		case "maxmemory_policy":
			f.EvictionPolicy = value
		case "maxmemory":
			f.MaxMemory, _ = strconv.ParseInt(value, 10, 64)
		case "aof_enabled":
			f.AppendOnly = value == "1"
		case "connected_slaves":
			f.Replicas, _ = strconv.Atoi(value)
		}
	}
	return f, nil
}
