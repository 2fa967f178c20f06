// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package telemetry_test

import (
	"testing"

	"github.com/watchword-project/watchword/server/internal/telemetry"
)

// TestEndpoint: where traces go is what the configuration says, else the
// environment, and nowhere while they are switched off.
func TestEndpoint(t *testing.T) {
	const here, there = "http://127.0.0.1:4318", "http://collector.example:4318"
	for name, c := range map[string]struct {
		env              map[string]string
		configured, want string
	}{
		"nothing":             {nil, "", ""},
		"the configuration":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": there}, here, here},
		"the environment":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": there}, "", there},
		"that of traces":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": here, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": there}, "", there},
		"switched off":        {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": there, "OTEL_SDK_DISABLED": "True"}, here, ""},
		"without an exporter": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": there, "OTEL_TRACES_EXPORTER": "none"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"} {
				t.Setenv(v, c.env[v])
			}
			if got := telemetry.Endpoint(c.configured); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
