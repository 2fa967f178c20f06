// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/watchword-project/watchword/server/internal/identity"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

var errNoMethod = status.Error(codes.Unimplemented, "no such method")

// gate is the one way in: both doors put it before every handler.
type gate struct {
	access *Access
	scopes map[string]string
	log    *slog.Logger
	// local is the caller of every call through this gate, where the listener
	// has identified it already; nil for the doors.
	local *identity.Caller

	events   map[string]string // types of recorded methods
	journal  Journal           // nil: none
	observer Observer          // nil: none
}

// localOperator is who calls through the socket in the data directory.
var localOperator = &identity.Caller{ID: "local", Tenant: identity.DefaultTenant, Preset: identity.PresetOwner, Scopes: identity.Scopes}

func (g *gate) interceptors() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnaryInterceptor(g.unary), grpc.StreamInterceptor(g.stream)}
}

// call is one request on its way through the gate.
type call struct {
	id     string
	method string
	from   socket
	caller *identity.Caller
	start  time.Time
	took   time.Duration

	authorization string // as the caller has shown it

	subject string // as the caller sent it
	begun   bool   // the journal has it
	rows    int    // answers of a stream
	// fault is the first row's that failed by no fault of its own.
	fault atomic.Pointer[error]
	// named are facts that the request tells, see named.
	named map[string]string
}

type callKey struct{}

func newID() string {
	var b [8]byte
	rand.Read(b[:])
	var text [2 * len(b)]byte
	return string(hex.AppendEncode(text[:0], b[:]))
}

// admit identifies the caller, checks scope and quota, and gives the context
// for the handler with the function that ends the stay.
func (g *gate) admit(ctx context.Context, c *call) (context.Context, func(), error) {
	var shown error
	if a := arrivalOf(ctx); a != nil {
		c.id, c.from, c.caller, c.authorization = a.id, a.socket, a.caller, a.authorization
	} else {
		c.id, c.from = newID(), socketOf(ctx)
		c.authorization, shown = oneAuthorization(metadata.ValueFromIncomingContext(ctx, "authorization"))
	}
	if slices.Contains(open, c.method) {
		c.from.guest.extend(0)
		return ctx, func() {}, nil
	}
	if g.local != nil {
		c.caller = g.local
	}
	if c.caller == nil {
		if shown != nil {
			return nil, nil, shown
		}
		caller, err := g.access.authenticate(ctx, c.from, c.authorization)
		if err != nil {
			return nil, nil, err
		}
		c.caller = caller
	}
	scope, known := g.scopes[c.method]
	if !known {
		return nil, nil, errNoMethod
	}
	if !c.caller.Has(scope) {
		return nil, nil, errScope
	}
	leave, err := g.access.enter(c.caller)
	if err != nil {
		return nil, nil, err
	}
	return context.WithValue(ctx, callerKey{}, c.caller), leave, nil
}

func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	c := &call{method: info.FullMethod, start: time.Now()}
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, g.panicked(c, p)
		}
		err = g.finish(ctx, c, resp, err)
	}()
	inside, leave, err := g.admit(ctx, c)
	if err != nil {
		return nil, err
	}
	defer leave()
	inside = g.observe(inside, c)
	ctx = inside
	if m, ok := req.(proto.Message); ok && isMalformed(m) {
		if a := arrivalOf(ctx); a != nil && a.fault != nil {
			return nil, a.fault
		}
		return nil, errMalformed
	}
	if err := g.begin(inside, c, req); err != nil {
		return nil, err
	}
	return next(inside, req)
}

func (g *gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	c := &call{method: info.FullMethod, start: time.Now()}
	ctx := ss.Context()
	defer func() {
		if p := recover(); p != nil {
			err = g.panicked(c, p)
		}
		err = g.finish(ctx, c, nil, err)
	}()
	inside, leave, err := g.admit(ctx, c)
	if err != nil {
		return err
	}
	defer leave()
	inside = g.observe(inside, c)
	ctx = inside
	if err := g.begin(inside, c, nil); err != nil {
		return err
	}
	inside, dismiss := context.WithCancelCause(context.WithValue(inside, callKey{}, c))
	defer dismiss(nil)
	go g.attend(inside, c, dismiss)
	err = next(srv, &admitted{ServerStream: ss, ctx: inside, call: c})
	if dismissed(inside) != nil && err != nil {
		return dismissed(inside)
	}
	return err
}

// attendEvery is how often the caller of a stream is looked at again. With the
// time in which other servers learn of it, a revoked key ends its streams
// within five seconds.
const attendEvery = 2 * time.Second

// attend dismisses the caller of a stream when what it has shown is not good
// any more: a stream may outlast key, token and certificate.
func (g *gate) attend(ctx context.Context, c *call, dismiss context.CancelCauseFunc) {
	if g.local != nil || c.caller == nil { // the operator, or liveness
		return
	}
	t := time.NewTicker(attendEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		caller, err := g.access.authenticate(ctx, c.from, c.authorization)
		switch {
		case err != nil:
			dismiss(err)
			return
		case caller.Tenant != c.caller.Tenant || !caller.Has(g.scopes[c.method]):
			dismiss(identity.ErrRefused)
			return
		}
	}
}

// dismissed gives the reason for which the caller was dismissed, or nil.
func dismissed(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, identity.ErrDenied) || errors.Is(err, identity.ErrRefused) {
		return err
	}
	return nil
}

// admitted is a stream that carries the caller in its context.
type admitted struct {
	grpc.ServerStream
	ctx  context.Context
	call *call
}

func (s *admitted) Context() context.Context { return s.ctx }

func (s *admitted) SendMsg(m any) error {
	if err := dismissed(s.ctx); err != nil {
		return err
	}
	if u, one := m.(*watchwordv1.UploadRecordsResponse); one { // the only answer of its stream
		s.call.named = merge(s.call.named, facts(u))
	} else {
		s.call.rows++
	}
	return s.ServerStream.SendMsg(m)
}

func (s *admitted) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.call.named == nil { // the first message names what the stream is about
		// Written only where there is something to write: a handler may receive on
		// a goroutine of its own, which is still at it when the call is recorded.
		if what := named(m); what != nil {
			s.call.named = what
		}
	}
	return dismissed(s.ctx)
}

// carriedPanic takes a panic from one goroutine to another, with the place.
type carriedPanic struct{ pcs []uintptr }

// carry gives nil when nothing was recovered.
func carry(recovered any) *carriedPanic {
	if recovered == nil {
		return nil
	}
	pcs := make([]uintptr, 32)
	return &carriedPanic{pcs[:runtime.Callers(3, pcs)]}
}

// panicked logs where a handler panicked: function names and lines only, since
// the value and the arguments may hold what was sent.
func (g *gate) panicked(c *call, recovered any) error {
	carried, ok := recovered.(*carriedPanic)
	if !ok {
		carried = carry(recovered)
	}
	frames := runtime.CallersFrames(carried.pcs)
	var stack []string
	for {
		f, more := frames.Next()
		stack = append(stack, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			break
		}
	}
	g.log.Error("panic in a handler", "method", c.method, "id", c.id, "stack", stack)
	return errPanic
}

// finish turns a Go error into the contract's status and writes the request's
// one log line.
func (g *gate) finish(ctx context.Context, c *call, resp any, err error) error {
	st := statusOf(ctx, err, c.id)
	now := time.Now()
	c.took = now.Sub(c.start)
	caller := ""
	if c.caller != nil {
		caller = c.caller.ID
	}
	attrs := []slog.Attr{
		slog.String("id", c.id), slog.String("method", g.known(c.method)), slog.String("caller", caller),
		slog.String("peer", c.from.String()), slog.String("code", st.Code().String()),
		took(c.took),
	}
	level := slog.LevelInfo
	if st.Code() == codes.Internal || st.Code() == codes.Unavailable {
		// The cause is ours and names no input: errors of the rooms below never do.
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	} else if row := c.fault.Load(); row != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", "in a row: "+(*row).Error()))
	}
	if errors.Is(err, identity.ErrRefused) {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if h := g.log.Handler(); !slices.Contains(open, c.method) && h.Enabled(ctx, level) {
		// As LogAttrs, without a look at the stack for the place in the source,
		// which is always this one.
		line := slog.NewRecord(now, level, "request", 0)
		line.AddAttrs(attrs...)
		_ = h.Handle(ctx, line)
	}
	if st.Code() != codes.OK {
		resp = nil
	}
	g.end(c, resp, st.Err())
	g.observed(ctx, c, resp, st.Err())
	return st.Err()
}

// took tells a time in milliseconds, to the microsecond.
func took(d time.Duration) slog.Attr {
	return slog.Float64("took_ms", float64(d.Microseconds())/1000)
}
