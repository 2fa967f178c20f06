// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
)

// Traces sends a span for each call to a collector. Spans wait in a bounded
// queue for a sender of their own: when the collector is slow or away they are
// dropped, and no call notices.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	sender   *sender
}

// TraceConfig says where traces go. What it leaves open the standard variables
// of OpenTelemetry say: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_BSP_*,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_SDK_DISABLED.
type TraceConfig struct {
	// Endpoint is the collector's base URL; empty means the environment's.
	Endpoint string
	Version  string
	Log      *slog.Logger
}

// Variables that are read here; the library reads the others.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// CheckEndpoint tells what is wrong with a collector's URL.
func CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("not a URL such as http://127.0.0.1:4318, without a password in it")
	}
	return nil
}

// Endpoint is the collector's URL that is in force for a configured one, which
// may be empty; it is empty when there is none, or traces are switched off.
func Endpoint(configured string) string {
	if off() {
		return ""
	}
	if configured != "" {
		return configured
	}
	_, text := first(envTracesEndpoint, envEndpoint)
	return text
}

// off tells whether the environment switches traces off, whatever else is set.
func off() bool {
	_, disabled := first(envDisabled)
	_, kind := first(envExporter)
	return strings.EqualFold(disabled, "true") || kind == "none"
}

// first gives the first of the variables that is set.
func first(names ...string) (name, value string) {
	for _, n := range names {
		if v := strings.TrimSpace(os.Getenv(n)); v != "" {
			return n, v
		}
	}
	return "", ""
}

// NewTraces makes the traces of one server; nil when they are off, which they
// are unless somebody names a collector.
func NewTraces(ctx context.Context, c TraceConfig) (*Traces, error) {
	if off() {
		return nil, nil
	}
	if _, kind := first(envExporter); kind != "" && kind != "otlp" {
		return nil, fmt.Errorf("%s: only otlp and none are known", envExporter)
	}
	if name, text := first(envTracesEndpoint, envEndpoint); c.Endpoint == "" {
		if text == "" {
			return nil, nil
		}
		if err := CheckEndpoint(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var (
		to  sdktrace.SpanExporter
		err error
	)
	switch name, protocol := first(envTracesProtocol, envProtocol); protocol {
	case "", "http/protobuf":
		var o []otlptracehttp.Option
		if c.Endpoint != "" {
			o = append(o, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces"))
		}
		to, err = otlptracehttp.New(ctx, o...)
	case "grpc":
		var o []otlptracegrpc.Option
		if c.Endpoint != "" {
			o = append(o, otlptracegrpc.WithEndpointURL(c.Endpoint))
		}
		to, err = otlptracegrpc.New(ctx, o...)
	default:
		return nil, fmt.Errorf("%s: only http/protobuf and grpc are known", name)
	}
	if err != nil {
		return nil, errors.New("the exporter of traces cannot be made from its settings")
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "watchword"), attribute.String("service.version", c.Version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES cannot be read")
	}
	t := &Traces{sender: &sender{SpanExporter: to, log: c.Log}}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithBatcher(t.sender), sdktrace.WithResource(about))
	t.tracer = t.provider.Tracer("github.com/watchword-project/watchword")
	return t, nil
}

// Close sends what waits, at the longest until ctx ends.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		t.sender.log.Warn("the last traces could not be sent")
	}
	return nil // a collector that is away is no reason for a stop to fail
}

// Counts tells how many spans the collector took, and how many it did not.
func (t *Traces) Counts() (sent, failed uint64) {
	if t == nil {
		return 0, 0
	}
	return t.sender.sent.Load(), t.sender.failed.Load()
}

// Quiet silences the library, whose texts may hold values of variables, secrets
// among them. It concerns the whole process.
func Quiet() {
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
}

// sender notes what becomes of spans. It says once when the collector is lost,
// and once when it is back.
type sender struct {
	sdktrace.SpanExporter
	log          *slog.Logger
	lost         atomic.Bool
	sent, failed atomic.Uint64
}

// ExportSpans implements sdktrace.SpanExporter.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := s.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		s.failed.Add(uint64(len(spans)))
		if !s.lost.Swap(true) {
			// The text of the error may hold the URL, and what the collector answered.
			s.log.Warn("the collector does not take traces; they are dropped until it does")
		}
		return nil
	}
	s.sent.Add(uint64(len(spans)))
	if s.lost.Swap(false) {
		s.log.Info("the collector takes traces again")
	}
	return nil
}

// carrier reads the headers that carry a trace on (W3C Trace Context).
type carrier struct {
	ctx    context.Context
	header func(ctx context.Context, name string) string
}

func (c carrier) Get(name string) string { return c.header(c.ctx, name) }
func (c carrier) Set(string, string)     {}
func (c carrier) Keys() []string         { return nil }

func (t *Traces) begin(ctx context.Context, method string, header func(ctx context.Context, name string) string) context.Context {
	ctx = propagation.TraceContext{}.Extract(ctx, carrier{ctx, header})
	name := strings.TrimPrefix(method, "/")
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		service, short, _ := strings.Cut(name, "/")
		span.SetAttributes(attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", service), attribute.String("rpc.method", short))
	}
	return ctx
}

func (t *Traces) end(ctx context.Context, code codes.Code) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("rpc.grpc.status_code", int(code)))
		switch code {
		case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
			span.SetStatus(otelcodes.Error, code.String())
		}
	}
	span.End()
}

// child begins a span below the one of the call; none without a call, since
// what the server does by itself would be a trace each time.
func (t *Traces) child(ctx context.Context, name string) (context.Context, trace.Span) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	return t.tracer.Start(ctx, name)
}

// past makes a span of what has ended.
func (t *Traces) past(ctx context.Context, name string, from, to time.Time) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}

func finish(span trace.Span, failed bool) {
	if span == nil {
		return
	}
	if failed {
		span.SetStatus(otelcodes.Error, "")
	}
	span.End()
}
