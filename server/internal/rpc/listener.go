// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/identity"
)

// Door is a listener that knows how much of it whoever has shown nothing yet
// may have: no connection for long, and never so many that no room is left for
// others. What comes over a connection is not its business.
type Door struct {
	net.Listener
	// Name is that of the door, in logs and events.
	Name string
	// Allow are the networks that may be served; none means all.
	Allow []netip.Prefix
	// Liveness tells that addresses beyond Allow are served too, if only with
	// liveness and with what is there for everybody. They count as one address
	// then; otherwise their connections are closed before anything is read.
	Liveness bool
	// Share is how many connections one address may hold. A network of 64 bits
	// is one address of IPv6.
	Share int
	// Patience is how long a connection may last on which nobody has been
	// identified.
	Patience time.Duration
	// Log, Journal and Observer hear of connections that are not taken; the latter
	// two may be nil.
	Log      *slog.Logger
	Journal  Journal
	Observer Observer

	mu   sync.Mutex
	held map[netip.Prefix]int
}

var errShare = errors.New("the address holds its share of the door's connections")

// Accept implements net.Listener.
func (d *Door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := socketAt(c.RemoteAddr())
		of, err := d.source(from.addr)
		if err == nil {
			err = d.enter(of)
		}
		if err != nil {
			d.refused(from, err)
			_ = c.Close()
			continue
		}
		g := &guest{Conn: c, patience: d.Patience, leave: sync.OnceFunc(func() { d.left(of) })}
		g.timer = time.AfterFunc(d.Patience, g.expire)
		return g, nil
	}
}

// source is the name under which the connections of an address are counted.
func (d *Door) source(a netip.Addr) (netip.Prefix, error) {
	switch {
	case len(d.Allow) == 0 || identity.Within(d.Allow, a):
		bits := a.BitLen()
		if a.Is6() {
			bits = 64
		}
		return a.Prefix(bits)
	case d.Liveness:
		return netip.Prefix{}, nil
	}
	return netip.Prefix{}, errNetwork
}

func (d *Door) enter(of netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[of] >= d.Share {
		return errShare
	}
	if d.held == nil {
		d.held = make(map[netip.Prefix]int)
	}
	d.held[of]++
	return nil
}

func (d *Door) left(of netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[of]--; d.held[of] == 0 {
		delete(d.held, of)
	}
}

// refused tells of a connection that was closed, as of a call.
func (d *Door) refused(from socket, err error) {
	typ, outcome, defence := typeDenied, "PERMISSION_DENIED", "access"
	if errors.Is(err, errShare) {
		typ, outcome, defence = typeQuota, "RESOURCE_EXHAUSTED", "quota"
	}
	d.Log.Info("connection refused", "door", d.Name, "peer", from.String(), "error", err)
	if d.Journal != nil {
		d.Journal.Denied(Record{Type: typ, Peer: from.String(), Outcome: outcome, Params: map[string]string{"method": d.Name}})
	}
	if d.Observer != nil {
		d.Observer.Defence(defence, true)
	}
}

// guest is a connection that was let in, until its time is over: that of one on
// which nobody was identified is short.
type guest struct {
	net.Conn
	patience time.Duration
	leave    func()
	known    atomic.Bool
	timer    *time.Timer
}

// guestAddr is the address of a guest, by which calls find the connection that
// they came over.
type guestAddr struct {
	net.Addr
	guest *guest
}

// RemoteAddr implements net.Conn.
func (g *guest) RemoteAddr() net.Addr { return guestAddr{g.Conn.RemoteAddr(), g} }

// Close implements net.Conn.
func (g *guest) Close() error {
	g.timer.Stop()
	return g.end()
}

func (g *guest) end() error {
	defer g.leave()
	return g.Conn.Close()
}

// expire runs when the guest's time is over. It may have become known since.
func (g *guest) expire() {
	if !g.known.Load() {
		_ = g.end()
	}
}

// vouch lifts the limit of the connection's time: somebody was identified on it.
func (g *guest) vouch() {
	if g != nil && !g.known.Load() && !g.known.Swap(true) {
		g.timer.Stop()
	}
}

// extend gives the connection of a stranger its time anew, who is served what is
// there for everybody, after the time that takes.
func (g *guest) extend(takes time.Duration) {
	if g != nil && !g.known.Load() {
		g.timer.Reset(takes + g.patience)
	}
}
