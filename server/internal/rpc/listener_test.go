// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/rpc"
)

// crowd is a listener to which connections come from the addresses of a list.
type crowd struct {
	net.Listener
	from []string
	all  []*comer
}

// comer is a connection from an address, that was or was not closed.
type comer struct {
	net.Conn
	from   string
	closed bool
}

func (c *comer) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}

func (c *comer) Close() error { c.closed = true; return nil }

func (l *crowd) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, net.ErrClosed
	}
	c := &comer{from: l.from[0]}
	l.from, l.all = l.from[1:], append(l.all, c)
	return c, nil
}

// take has a door with places for share connections of each address accept all
// that come, and gives a letter for each: taken or refused.
func take(allow []netip.Prefix, liveness bool, share int, from []string) string {
	l := &crowd{from: from}
	d := &rpc.Door{Listener: l, Allow: allow, Liveness: liveness, Share: share, Patience: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for {
		if _, err := d.Accept(); err != nil {
			break
		}
	}
	got := ""
	for _, c := range l.all {
		if c.closed {
			got += "r"
		} else {
			got += "t"
		}
	}
	return got
}

// TestShares counts connections as addresses have them.
func TestShares(t *testing.T) {
	inside := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, tt := range []struct {
		name     string
		allow    []netip.Prefix
		liveness bool
		from     []string
		taken    string
	}{
		{"addresses of IPv4 each have their own", inside, true, []string{"10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"}, "tttrtr"},
		{"mapped or not, an address is one", inside, true, []string{"10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.1"}, "ttr"},
		{"64 bits of IPv6 are one", inside, true, []string{"2001:db8::1", "2001:db8::2:3", "2001:db8::4", "2001:db8:0:1::1"}, "ttrt"},
		{"beyond the list all are one", inside, true, []string{"192.0.2.1", "198.51.100.1", "2001:db9::1", "10.0.0.1"}, "ttrt"},
		{"beyond the list there is nothing", inside, false, []string{"192.0.2.1", "10.0.0.1", "2001:db9::1", "2001:db8::1"}, "rtrt"},
		{"without a list everybody is within", nil, false, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "198.51.100.1"}, "ttrt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := take(tt.allow, tt.liveness, 2, tt.from); got != tt.taken {
				t.Errorf("%v: %s, want %s", tt.from, got, tt.taken)
			}
		})
	}
}

// TestLeaving closes a connection twice, as net/http may: it makes room for one.
func TestLeaving(t *testing.T) {
	l := &crowd{from: []string{"10.0.0.1"}}
	d := &rpc.Door{Listener: l, Share: 1, Patience: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		c, err := d.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), c.Close()
		l.from = []string{"10.0.0.1", "10.0.0.1"}
	}
	_, _ = d.Accept() // holds the place; the other is refused
	if _, err := d.Accept(); err == nil || !l.all[len(l.all)-1].closed {
		t.Errorf("two are in a place for one: %v", err)
	}
}
