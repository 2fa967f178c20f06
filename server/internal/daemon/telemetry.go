// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/rpc"
	"github.com/watchword-project/watchword/server/internal/telemetry"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// What the rooms of the house count by themselves. No label holds a tenant, a
// subject or an address; the names of corpora are the configuration's.
var (
	buildMetric = gauge("watchword_build_info", "The build that runs; always 1.", "version", "go")
	readyMetric = gauge("watchword_ready", "1 while the server is ready, as /readyz tells.")

	slotsMetric   = gauge("watchword_hashing_slots", "Hashes that may run at the same moment.")
	runningMetric = gauge("watchword_hashing_running", "Hashes that run now.")
	queuedMetric  = gauge("watchword_hashing_queued", "Hashes that wait for a slot now.")
	runsMetric    = counter("watchword_hashing_runs_total", "Hashes begun.")
	shedMetric    = counter("watchword_hashing_refused_total", "Hashes refused because they would have waited for too long.")
	leftMetric    = counter("watchword_hashing_abandoned_total", "Hashes whose caller went away, before they began or while they ran.", "when")

	verdictsMetric = counter("watchword_throttle_verdicts_total", "Decisions about login attempts, by verdict.", "verdict")
	reasonsMetric  = counter("watchword_throttle_reasons_total", "Reasons of decisions, by the lane that gave them.", "lane", "reason")
	outcomesMetric = counter("watchword_throttle_outcomes_total", "How admitted attempts ended.", "outcome")
	closedMetric   = counter("watchword_throttle_lanes_closed_total", "Lanes closed for good by too many failures.")
	degradedMetric = gauge("watchword_throttle_degraded", "1 while the shared store of the throttle is lost and a stricter limiter in process decides.")
	lossesMetric   = counter("watchword_throttle_store_errors_total", "Decisions to which the shared store gave no answer.")
	untoldMetric   = gauge("watchword_throttle_untold_outcomes", "Outcomes that the shared store has still to be told.")
	droppedMetric  = counter("watchword_throttle_dropped_outcomes_total", "Outcomes that the shared store will never be told.")

	signalsMetric = counter("watchword_signals_total", "What was noticed about logins.", "signal")
	lostSignals   = counter("watchword_signals_lost_total", "Signals for which a listener had no room.")
	webhookMetric = counter("watchword_webhook_signals_total", "What became of signals at the webhook.", "outcome")

	shadowRefusals   = counter("watchword_policy_shadow_refusals_total", "Judgements that accepted what a rule, policy or candidate in shadow would have refused.")
	shadowViolations = counter("watchword_policy_shadow_violations_total", "What a rule, policy or candidate in shadow would have refused, by rule.", "rule")

	storeMetric   = gauge("watchword_store_up", "1 while the store answers.")
	lookupsMetric = counter("watchword_breach_lookups_total", "Look-ups of passwords in the breach corpora, by what they rest on.", "status")
	corpusInfo    = gauge("watchword_corpus_info", "The version of each corpus in use; always 1.", "corpus", "version")
	corpusBuilt   = gauge("watchword_corpus_built_timestamp_seconds", "When each corpus in use was built.", "corpus")
	corpusEntries = gauge("watchword_corpus_entries", "Hashes in each corpus in use.", "corpus")
	corpusHealthy = gauge("watchword_corpus_healthy", "1 while the canaries of a corpus are found and it can be read.", "corpus")
	corpusRefused = gauge("watchword_corpus_refused", "1 while a changed file of a corpus is not taken.", "corpus")

	headMetric     = counter("watchword_events_total", "Number of the newest line of the event log.")
	eventsUp       = gauge("watchword_events_up", "1 while the event log can be written; changes are refused while it cannot.")
	lagMetric      = gauge("watchword_events_uncovered_seconds", "Age of the oldest event that no signed checkpoint covers.")
	lostEvents     = counter("watchword_events_lost_total", "Notes for which the event log had no room.")
	auditsMetric   = gauge("watchword_audits_running", "Audits that this server works on now.")
	certMetric     = gauge("watchword_certificate_expiry_timestamp_seconds", "When the certificate of the doors ends.")
	reloadsMetric  = counter("watchword_reloads_total", "Changed files and objects that were taken, or were not.", "part", "outcome")
	spansMetric    = counter("watchword_trace_spans_total", "Spans that the collector took, and that it did not.", "outcome")
	metricFamilies = []*telemetry.Family{buildMetric, readyMetric, slotsMetric, runningMetric, queuedMetric, runsMetric, shedMetric, leftMetric,
		verdictsMetric, reasonsMetric, outcomesMetric, closedMetric, degradedMetric, lossesMetric, untoldMetric, droppedMetric,
		signalsMetric, lostSignals, webhookMetric, shadowRefusals, shadowViolations, storeMetric, lookupsMetric, corpusInfo, corpusBuilt, corpusEntries, corpusHealthy, corpusRefused,
		headMetric, eventsUp, lagMetric, lostEvents, auditsMetric, certMetric, reloadsMetric, spansMetric}
)

func gauge(name, help string, labels ...string) *telemetry.Family {
	return &telemetry.Family{Name: name, Help: help, Labels: labels, Gauge: true}
}

func counter(name, help string, labels ...string) *telemetry.Family {
	return &telemetry.Family{Name: name, Help: help, Labels: labels}
}

// Metrics lists the metrics that a server offers, for its manual.
func Metrics() []*telemetry.Family {
	return telemetry.NewMetrics(metricFamilies, func(telemetry.Emit) {}).Families()
}

// measure makes what the configuration, or the environment, asks to be
// measured; nothing is while both are silent.
func (s *Server) measure(ctx context.Context, c Config, o Options) error {
	version := strings.TrimPrefix(o.Version, "watchword-server ")
	traces, err := telemetry.NewTraces(ctx, telemetry.TraceConfig{Endpoint: c.Telemetry.OTLPEndpoint, Version: version, Log: o.Log})
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	if traces == nil && c.Telemetry.MetricsAddr == "" {
		return nil
	}
	s.telemetry = &telemetry.Observer{Traces: traces}
	if traces != nil {
		s.onClose(func(ctx context.Context) error {
			limited, cancel := context.WithTimeout(ctx, tracesCloseLimit)
			defer cancel()
			return traces.Close(limited)
		})
	}
	if c.Telemetry.MetricsAddr != "" {
		s.telemetry.Metrics = telemetry.NewMetrics(metricFamilies, func(emit telemetry.Emit) {
			emit(buildMetric, 1, version, runtime.Version())
			s.emit(emit)
		})
	}
	return nil
}

// tracesCloseLimit bounds what a stop waits for a collector that does not
// answer.
const tracesCloseLimit = 3 * time.Second

// observer is nil, and not a nil pointer within, while nothing is measured.
func (s *Server) observer() rpc.Observer {
	if s.telemetry == nil {
		return nil
	}
	return s.telemetry
}

// hashed hears of hashes; nil while nothing is measured.
func (s *Server) hashed() func(ctx context.Context, asked, began, ended time.Time) {
	if s.telemetry == nil {
		return nil
	}
	return s.telemetry.Hashed
}

// metricsDoor answers scrapes. It is made before the edge that guards it, and
// serves only after.
func (s *Server) metricsDoor() http.Handler {
	metrics := s.telemetry.Metrics.Handler(s.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.rpc.Metrics(metrics).ServeHTTP(w, r) })
}

// Quiet silences the libraries that measure, for the whole process.
func Quiet() { telemetry.Quiet() }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// lanes tells which lane of the throttle gives a reason.
var lanes = map[string]string{
	"LANE_WAITS": "subject", "LANE_CLOSED": "subject", "TOO_MANY_PARALLEL": "subject", "SLOW_BUDGET": "subject",
	"ADDRESS_RATE": "address", "NETWORK_RATE": "network", "PREFIX_RATE": "network", "PAIR_RATE": "pair",
	"TENANT_RATE": "tenant", "STUFFING": "signal", "SPRAY": "signal", "STORE_FULL": "store", "STORE_DEGRADED": "store",
}

var outcomeNames = map[throttle.Outcome]string{throttle.Success: "SUCCESS", throttle.BadSecret: "BAD_SECRET",
	throttle.SecondFactorFailed: "SECOND_FACTOR_FAILED", throttle.Cancelled: "CANCELLED"}

// emit reads the values of now.
func (s *Server) emit(emit telemetry.Emit) {
	emit(readyMetric, truth(s.unready() == nil))

	h := s.hasher.Stats()
	emit(slotsMetric, float64(h.Slots))
	emit(runningMetric, float64(h.Running))
	emit(queuedMetric, float64(h.Queued))
	emit(runsMetric, float64(h.Runs))
	emit(shedMetric, float64(h.Shed))
	emit(leftMetric, float64(h.Left), "waiting")
	emit(leftMetric, float64(h.Orphans), "running")

	t := s.throttle.Stats()
	for verdict, n := range t.Verdicts {
		emit(verdictsMetric, float64(n), verdict)
	}
	for reason, n := range t.Reasons {
		emit(reasonsMetric, float64(n), lanes[reason], reason)
	}
	for outcome, name := range outcomeNames {
		emit(outcomesMetric, float64(t.Outcomes[outcome]), name)
	}
	emit(closedMetric, float64(t.Closed))
	emit(degradedMetric, truth(t.Degraded))
	emit(lossesMetric, float64(t.StoreErrors))
	emit(untoldMetric, float64(t.Untold))
	emit(droppedMetric, float64(t.Dropped))

	n := s.SignalCounts()
	emit(signalsMetric, float64(n.Spray), throttle.SignalSpray.String())
	emit(signalsMetric, float64(n.Stuffing), throttle.SignalStuffing.String())
	emit(signalsMetric, float64(n.SuccessAfterFailures), throttle.SignalSuccessAfterFailures.String())
	emit(signalsMetric, float64(n.SuccessInAttack), throttle.SignalSuccessInAttack.String())
	emit(lostSignals, float64(t.SignalsLost))
	emit(webhookMetric, float64(n.Delivered), "delivered")
	emit(webhookMetric, float64(n.Failed), "failed")
	emit(webhookMetric, float64(n.Dropped), "dropped")

	shadow := s.shadow()
	emit(shadowRefusals, float64(shadow.Refusals))
	for rule, n := range shadow.Violations {
		emit(shadowViolations, float64(n), rule)
	}

	emit(storeMetric, truth(s.store.ready() == nil))
	s.emitCorpora(emit)

	st := s.events.Status()
	emit(headMetric, float64(st.Head))
	emit(eventsUp, truth(st.Err == nil))
	lag := time.Duration(0)
	if !st.Uncovered.IsZero() {
		lag = max(0, s.now().Sub(st.Uncovered))
	}
	emit(lagMetric, lag.Seconds())
	emit(lostEvents, float64(st.Lost))
	emit(auditsMetric, float64(s.audits.engine.Busy()))
	if s.certs != nil {
		if leaf := s.certs.current.Load().Certificates[0].Leaf; leaf != nil {
			emit(certMetric, float64(leaf.NotAfter.Unix()))
		}
	}
	s.reloads.each(func(part string, taken bool, n uint64) { emit(reloadsMetric, float64(n), part, outcomeOf(taken)) })
	if s.telemetry.Traces != nil {
		sent, failed := s.telemetry.Traces.Counts()
		emit(spansMetric, float64(sent), "sent")
		emit(spansMetric, float64(failed), "failed")
	}
}

func outcomeOf(ok bool) string {
	if ok {
		return "ok"
	}
	return "failed"
}

func (s *Server) emitCorpora(emit telemetry.Emit) {
	l := s.corpora.Lookups()
	emit(lookupsMetric, float64(l.Performed), "PERFORMED")
	emit(lookupsMetric, float64(l.Degraded), "DEGRADED")
	emit(lookupsMetric, float64(l.Skipped), "SKIPPED")
	for _, c := range s.corpora.List() {
		emit(corpusInfo, 1, c.Name, c.Version)
		emit(corpusBuilt, float64(c.Built.Unix()), c.Name)
		emit(corpusEntries, float64(c.Entries), c.Name)
		emit(corpusHealthy, truth(c.Fault == ""), c.Name)
		emit(corpusRefused, truth(c.Refused != ""), c.Name)
	}
}
