// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/watchword-project/watchword/server/internal/identity"
)

// MetricsPath is the one path of the door for metrics.
const MetricsPath = "/metrics"

// Metrics puts the metrics behind a door of their own, which asks for what the
// REST door asks for: an allowed network and host name, and a caller with the
// scope system.read.
func (s *Server) Metrics(metrics http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := arrive(r)
		g := s.rest
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Request-Id", a.id)
		if !g.hostAllowed(r.Host) || r.Header.Get("Origin") != "" {
			g.refuse(w, r, a, identity.ErrRefused)
			return
		}
		if err := g.identify(r, a); err != nil {
			g.refuse(w, r, a, err)
			return
		}
		switch {
		case !a.caller.Has("system.read"), !runsInstallation(a.caller):
			g.refuse(w, r, a, identity.ErrRefused)
		case r.URL.Path != MetricsPath:
			g.refuse(w, r, a, status.Error(codes.NotFound, "no such route"))
		case g.methodAllowed(w, r, a, http.MethodGet):
			metrics.ServeHTTP(w, r)
		}
	})
}
