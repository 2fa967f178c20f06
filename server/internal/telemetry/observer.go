// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package telemetry

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
)

// Observer hears of every call and of what is done for it. Either part may be
// nil.
type Observer struct {
	Metrics *Metrics
	Traces  *Traces
}

// Begin is called when a call was let in; header gives a header or metadata
// value of it. End wants the context that Begin gives.
func (o *Observer) Begin(ctx context.Context, method string, header func(ctx context.Context, name string) string) context.Context {
	if o.Traces == nil {
		return ctx
	}
	return o.Traces.begin(ctx, method, header)
}

// End is called when a call was answered.
func (o *Observer) End(ctx context.Context, method string, code codes.Code, took time.Duration) {
	if o.Metrics != nil {
		o.Metrics.ended(method, code, took)
	}
	if o.Traces != nil {
		o.Traces.end(ctx, code)
	}
}

// Defence is called when a defence noticed something, and tells whether it also
// stopped it.
func (o *Observer) Defence(name string, mitigated bool) {
	if o.Metrics != nil {
		o.Metrics.noticed(name, mitigated)
	}
}

// Store is called before a call of the store, and what it gives after it.
func (o *Observer) Store(ctx context.Context, operation string) (context.Context, func(failed bool)) {
	ctx, span := o.Traces.child(ctx, "store "+operation)
	began := time.Now()
	return ctx, func(failed bool) {
		if o.Metrics != nil {
			outcome := "ok"
			if failed {
				outcome = "failed"
			}
			o.Metrics.store.WithLabelValues(operation, outcome).Observe(time.Since(began).Seconds())
		}
		finish(span, failed)
	}
}

// Hashed is called when a hash has run for a caller: when it was asked for, began and ended.
func (o *Observer) Hashed(ctx context.Context, asked, began, ended time.Time) {
	if o.Metrics != nil {
		o.Metrics.wait.Observe(began.Sub(asked).Seconds())
		o.Metrics.run.Observe(ended.Sub(began).Seconds())
	}
	o.Traces.past(ctx, "hash wait", asked, began)
	o.Traces.past(ctx, "hash", began, ended)
}
