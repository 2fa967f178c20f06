// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/watchword-project/watchword/api"
	"github.com/watchword-project/watchword/server/internal/identity"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Time limits of the REST door. A stream may last; only its silences may not.
const (
	unaryTimeout  = 30 * time.Second
	unaryAnswer   = time.Minute // to take one, however long the work for it was
	streamSilence = 5 * time.Minute
)

// BrowserPrefix is where the files for pages are.
const BrowserPrefix = "/browser/"

// route is one REST route: the method behind it, and whether its request is a
// stream of lines.
type route struct {
	method string
	stream bool
	watch  bool // the answer alone is a stream
}

// gateway is the REST door. It identifies the caller and checks the scope
// before it reads a byte of the body, then runs the method through the same
// interceptors as calls over gRPC: a unary one on the goroutine of its request,
// a stream by way of grpc-gateway and a channel within the process.
type gateway struct {
	gate    *gate
	mux     http.Handler // of streams
	unary   map[string]unaryMethod
	routes  map[string]route
	json    *strictJSON
	hosts   []string
	origins []string
	anyHost bool
	anon    []netip.Prefix
	ready   func() error
	browser http.Handler
	zippers sync.Pool // of *gzip.Writer
}

func newGateway(ctx context.Context, s *Server, cfg Config) (*gateway, error) {
	g := &gateway{gate: s.gate, unary: s.unary, json: newJSON(), hosts: cfg.Hosts, origins: cfg.Origins, anyHost: cfg.AnyHost,
		anon: cfg.AnonymousRange, ready: cfg.Ready, browser: cfg.Browser}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, g.json),
		runtime.WithErrorHandler(g.fail),
		runtime.WithStreamErrorHandler(g.streamFault),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisablePathLengthFallback(),
	)
	var ch grpc.ClientConnInterface = s.local
	for _, err := range []error{
		watchwordv1.RegisterPasswordServiceHandlerClient(ctx, mux, watchwordv1.NewPasswordServiceClient(ch)),
		watchwordv1.RegisterCredentialServiceHandlerClient(ctx, mux, watchwordv1.NewCredentialServiceClient(ch)),
		watchwordv1.RegisterLoginThrottleServiceHandlerClient(ctx, mux, watchwordv1.NewLoginThrottleServiceClient(ch)),
		watchwordv1.RegisterBreachServiceHandlerClient(ctx, mux, watchwordv1.NewBreachServiceClient(ch)),
		watchwordv1.RegisterPolicyServiceHandlerClient(ctx, mux, watchwordv1.NewPolicyServiceClient(ch)),
		watchwordv1.RegisterAuditServiceHandlerClient(ctx, mux, watchwordv1.NewAuditServiceClient(ch)),
		watchwordv1.RegisterAdminServiceHandlerClient(ctx, mux, watchwordv1.NewAdminServiceClient(ch)),
	} {
		if err != nil {
			return nil, fmt.Errorf("registering routes: %w", err)
		}
	}
	g.mux = mux
	routes, err := readRoutes(s.gate.scopes, s.streams, s.watches)
	g.routes = routes
	return g, err
}

// readRoutes takes the routes from the OpenAPI description that was generated
// with them, and refuses one whose method declares no scope.
func readRoutes(scopes map[string]string, streams, watches map[string]bool) (map[string]route, error) {
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI, &doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI description: %w", err)
	}
	routes := make(map[string]route)
	for path, verbs := range doc.Paths {
		op, ok := verbs["post"]
		service, method, cut := strings.Cut(op.OperationID, "_")
		full := "/watchword.v1." + service + "/" + method
		if !ok || !cut || len(verbs) != 1 || scopes[full] == "" {
			return nil, fmt.Errorf("route %s has no method with a scope", path)
		}
		routes[path] = route{method: full, stream: streams[full], watch: watches[full]}
	}
	return routes, nil
}

type connKey struct{}

// ConnContext keeps the socket's peer for the handler; http.Server calls it.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, socketAt(c.RemoteAddr()))
}

// arrive gives what is known of a request before anything in it is believed.
func arrive(r *http.Request) *arrival {
	a := &arrival{id: newID()}
	a.socket, _ = r.Context().Value(connKey{}).(socket)
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		a.chain = r.TLS.VerifiedChains[0]
	}
	return a
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrive(r)
	a.header = g.gate.traceHeaders(r.Header)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the very value is what net/http looks for
				panic(p)
			}
			g.refuse(w, r, a, g.gate.panicked(&call{method: "REST", id: a.id}, p))
		}
	}()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Request-Id", a.id)
	if len(g.origins) > 0 { // also where none is named: a file that is kept must not serve for another origin
		h.Add("Vary", "Origin")
	}

	if !g.hostAllowed(r.Host) {
		g.refuse(w, r, a, errHost)
		return
	}
	if !g.ownPage(r) && !g.originAllowed(w, r) {
		g.refuse(w, r, a, errOrigin)
		return
	}
	if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		preflight(h)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	switch r.URL.Path {
	case "/healthz":
		g.liveness(w, r, a, func() error { return nil })
		return
	case "/readyz":
		g.liveness(w, r, a, g.ready)
		return
	}
	if g.browser != nil && strings.HasPrefix(r.URL.Path+"/", BrowserPrefix) {
		a.guest.extend(unaryAnswer)
		g.browser.ServeHTTP(w, r)
		return
	}
	isRange := strings.HasPrefix(r.URL.Path, "/range/")
	if isRange && len(r.Header.Values("Authorization")) == 0 && identity.Within(g.anon, a.addr) {
		a.caller = rangeVisitor
		a.guest.vouch()
		g.serveRange(w, r, a)
		return
	}
	if err := g.identify(r, a); err != nil {
		g.refuse(w, r, a, err)
		return
	}
	switch {
	case isRange:
		g.serveRange(w, r, a)
	case r.URL.Path == "/openapi.json":
		if !a.caller.Has("system.read") {
			g.refuse(w, r, a, errScope)
		} else if g.methodAllowed(w, r, a, http.MethodGet, http.MethodHead) {
			g.serveOpenAPI(w, r, a)
		}
	default:
		g.serveRoute(w, r, a)
	}
}

// serveOpenAPI gives the description of the routes. There is no method behind
// it, so it takes the caller's quota and leaves its traces itself.
func (g *gateway) serveOpenAPI(w http.ResponseWriter, r *http.Request, a *arrival) {
	c := g.callOf(r, a)
	leave, err := g.gate.access.enter(a.caller)
	if err != nil {
		g.refuse(w, r, a, err)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(api.OpenAPI)
	_ = g.gate.finish(r.Context(), c, nil, nil)
}

// serveRoute answers a POST route.
func (g *gateway) serveRoute(w http.ResponseWriter, r *http.Request, a *arrival) {
	rt, ok := g.routes[r.URL.Path]
	if !ok {
		g.refuse(w, r, a, status.Error(codes.NotFound, "no such route"))
		return
	}
	if !g.methodAllowed(w, r, a, http.MethodPost) {
		return
	}
	if !a.caller.Has(g.gate.scopes[rt.method]) {
		g.refuse(w, r, a, errScope)
		return
	}
	if err := checkBody(r, rt.stream); err != nil {
		g.refuse(w, r, a, err)
		return
	}
	if !rt.stream && !rt.watch {
		g.serveUnary(w, r, a, rt.method)
		return
	}
	control := http.NewResponseController(w)
	if rt.stream {
		// Over HTTP/1.1 the first answers go out while the last rows come in.
		if err := control.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
			g.refuse(w, r, a, err)
			return
		}
		r.Body = &streamBody{ReadCloser: r.Body, control: control}
		answers := newStreamWriter(w, control)
		defer answers.end()
		w = answers
	} else {
		// The answer may last, so the time limits of the connection go as soon as
		// the request has been read under them.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
		if err != nil {
			g.refuse(w, r, a, errMalformed)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
		w = &watchWriter{ResponseWriter: w, control: control}
	}
	// What could steer the call must come from this process, not from a header.
	for name := range r.Header {
		if strings.HasPrefix(name, "Grpc-") || strings.HasPrefix(name, "X-Http-Method") || strings.HasPrefix(name, "X-Forwarded-") {
			delete(r.Header, name)
		}
	}
	delete(r.Header, "Authorization")
	g.mux.ServeHTTP(w, r.WithContext(withArrival(r.Context(), a)))
}

// serveUnary answers a route whose request and answer are one object each.
// Nothing but the body of the request gets as far as the method.
func (g *gateway) serveUnary(w http.ResponseWriter, r *http.Request, a *arrival, method string) {
	ctx, control := withArrival(r.Context(), a), http.NewResponseController(w)
	answer, err := g.invoke(ctx, method, func(m any) error {
		err := g.json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(m)
		if err != nil && plantFaultsRepeat {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err != nil {
			errors.As(err, &a.fault)
			markMalformed(m.(proto.Message)) // as over gRPC: the gate counts it, and turns it away
		}
		// To rotate a pepper takes as long as it takes; to read the answer does not.
		_ = control.SetWriteDeadline(time.Time{})
		return nil
	})
	_ = control.SetWriteDeadline(time.Now().Add(unaryAnswer))
	if err != nil {
		g.fail(ctx, nil, nil, w, r, err)
		return
	}
	body, err := g.json.Marshal(answer)
	if err != nil {
		g.refuse(w, r, a, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// unaryMethod is a method as its service registered it.
type unaryMethod struct {
	service any
	handler grpc.MethodHandler
}

// invoke runs a unary method behind the interceptor that calls over gRPC pass.
// decode fills the request.
func (g *gateway) invoke(ctx context.Context, method string, decode func(any) error) (any, error) {
	m := g.unary[method]
	return m.handler(m.service, ctx, decode, g.gate.unary)
}

// flushDelay is how long the answer to a row may wait for the next one, so that
// both go out together.
const flushDelay = time.Millisecond

// streamWriter carries the answers of a stream, and gives up on a client that
// takes none of them for streamSilence.
type streamWriter struct {
	http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex
	timer   *time.Timer
	waiting bool // the timer runs
	ended   bool
	err     error // of the last flush
}

func newStreamWriter(w http.ResponseWriter, control *http.ResponseController) *streamWriter {
	s := &streamWriter{ResponseWriter: w, control: control}
	s.timer = time.AfterFunc(time.Hour, s.flush)
	s.timer.Stop()
	return s
}

func (s *streamWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(streamSilence))
	return s.ResponseWriter.Write(p)
}

// FlushError sees to it that what was written goes out soon. Its error is that
// of an earlier flush.
func (s *streamWriter) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.waiting {
		s.waiting = true
		s.timer.Reset(flushDelay)
	}
	return s.err
}

func (s *streamWriter) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.waiting {
		return
	}
	s.waiting = false
	_ = s.control.SetWriteDeadline(time.Now().Add(streamSilence))
	if err := s.control.Flush(); err != nil {
		s.err = err
	}
}

// end is called before the handler returns; net/http sends what is left.
func (s *streamWriter) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
	_ = s.control.SetWriteDeadline(time.Now().Add(streamSilence))
}

// streamBody marks a body of lines, and gives up on one whose next line does not
// come: each has streamSilence from its first byte awaited to its last.
type streamBody struct {
	io.ReadCloser
	control *http.ResponseController
	within  bool // a line, whose time runs
}

func (b *streamBody) Read(p []byte) (int, error) {
	if !b.within {
		b.within = true
		_ = b.control.SetReadDeadline(time.Now().Add(streamSilence))
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// From here on net/http reads, to learn of a caller that goes away. One
		// that takes its time over the answers does not.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// watchWriter lets a watch last, and gives up on a reader who does not read.
type watchWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *watchWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(unaryTimeout))
	return w.ResponseWriter.Write(p)
}

func (w *watchWriter) FlushError() error {
	err := w.control.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
	return err
}

func checkBody(r *http.Request, stream bool) error {
	switch coding := r.Header.Get("Content-Encoding"); {
	case !takesMedia(r.Header.Values("Content-Type"), stream):
		return &fieldError{fault: "the content type must be application/json, or application/x-ndjson for a stream"}
	case coding != "" && coding != "identity":
		return &fieldError{fault: "the content encoding is not taken"}
	}
	return nil
}

func takesMedia(named []string, stream bool) bool {
	if len(named) != 1 {
		return false
	}
	if named[0] == "application/json" { // as nearly everybody spells it
		return true
	}
	media, params, err := mime.ParseMediaType(named[0])
	charset := strings.ToLower(params["charset"])
	return err == nil && (media == "application/json" || stream && media == "application/x-ndjson") &&
		(charset == "" || charset == "utf-8")
}

func (g *gateway) identify(r *http.Request, a *arrival) error {
	authorization, err := oneAuthorization(r.Header.Values("Authorization"))
	if err != nil {
		return err
	}
	c, err := g.gate.access.authenticate(r.Context(), a.socket, authorization)
	if err != nil && plantOpenRoutes {
		c, err = &identity.Caller{ID: "nobody", Tenant: identity.DefaultTenant}, nil
	}
	a.caller, a.authorization = c, authorization
	return err
}

func (g *gateway) liveness(w http.ResponseWriter, r *http.Request, a *arrival, probe func() error) {
	if !g.methodAllowed(w, r, a, http.MethodGet, http.MethodHead) {
		return
	}
	a.guest.extend(0)
	w.Header().Set("Content-Type", "application/json")
	if probe() != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"NOT_SERVING"}`)
		return
	}
	_, _ = io.WriteString(w, `{"status":"SERVING"}`)
}

func (g *gateway) methodAllowed(w http.ResponseWriter, r *http.Request, a *arrival, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	g.write(w, http.StatusMethodNotAllowed, g.refused(r, a, errHTTPMethod))
	return false
}

// hostAllowed guards a loopback listener against names that a stranger's page
// had pointed at it (DNS rebinding).
func (g *gateway) hostAllowed(hostport string) bool {
	if g.anyHost || plantAnyHost || identity.ThisMachine(hostport) {
		return true
	}
	host := identity.Host(hostport)
	return slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) || strings.EqualFold(h, hostport) })
}

// ownPage tells whether a page that this door serves asks for its files:
// browsers name the origin of whoever loads a module. A proxy in front may have
// ended TLS, so the scheme is the browser's word.
func (g *gateway) ownPage(r *http.Request) bool {
	_, host, ok := strings.Cut(r.Header.Get("Origin"), "://")
	return ok && host == r.Host && g.browser != nil && strings.HasPrefix(r.URL.Path, BrowserPrefix)
}

func (g *gateway) originAllowed(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if !slices.Contains(g.origins, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
	return true
}

// preflight answers the question that a browser asks, without a key, before a
// page of an allowed origin may call. It tells nothing of the routes.
func preflight(h http.Header) {
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	h.Set("Access-Control-Allow-Headers", "Add-Padding, Authorization, Content-Type, If-None-Match")
	h.Set("Access-Control-Max-Age", "600")
}

var errHTTPMethod = status.Error(codes.Unimplemented, "method not allowed")

// callOf is a request that reaches no handler, as the interceptors have calls.
func (g *gateway) callOf(r *http.Request, a *arrival) *call {
	method := "REST"
	if rt, ok := g.routes[r.URL.Path]; ok {
		method = rt.method
	}
	return &call{id: a.id, method: method, from: a.socket, caller: a.caller, start: time.Now()}
}

// refuse answers a request that never reached a handler.
func (g *gateway) refuse(w http.ResponseWriter, r *http.Request, a *arrival, err error) {
	st := g.refused(r, a, err)
	g.write(w, runtime.HTTPStatusFromCode(st.Code()), st)
}

// refused logs a request that never reached a handler, as the interceptors log
// theirs.
func (g *gateway) refused(r *http.Request, a *arrival, err error) *status.Status {
	return status.Convert(g.gate.finish(r.Context(), g.callOf(r, a), nil, err))
}

// fail is grpc-gateway's error handler. Errors of handlers arrive with their
// details; what has none is a body that could not be decoded.
func (g *gateway) fail(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	var httpErr *runtime.HTTPStatusError
	if errors.As(err, &httpErr) {
		err = httpErr.Err
	}
	st := status.Convert(err)
	if st.Code() == codes.InvalidArgument && len(st.Details()) == 0 && !plantFaultsRepeat {
		if a := requestArrival(ctx); a != nil {
			g.refuse(w, r, a, errMalformed)
			return
		}
		st = statusOf(ctx, errMalformed, "")
	}
	g.write(w, runtime.HTTPStatusFromCode(st.Code()), st)
}

func (g *gateway) streamFault(ctx context.Context, err error) *status.Status {
	st := status.Convert(err)
	if st.Code() == codes.InvalidArgument && len(st.Details()) == 0 {
		return statusOf(ctx, errMalformed, "")
	}
	return st
}

func (g *gateway) write(w http.ResponseWriter, code int, st *status.Status) {
	for _, d := range st.Details() {
		if ri, ok := d.(*errdetails.RetryInfo); ok {
			seconds := math.Ceil(ri.GetRetryDelay().AsDuration().Seconds())
			w.Header().Set("Retry-After", strconv.FormatFloat(max(seconds, 1), 'f', 0, 64))
		}
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body, err := g.json.Marshal(st.Proto())
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"code":13,"message":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
