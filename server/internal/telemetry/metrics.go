// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package telemetry measures: metrics for Prometheus, and traces for a
// collector that speaks OTLP. It knows methods, codes and defences by name, and
// never a subject, an address or anything that was sent. Nothing in it makes a
// request wait.
package telemetry

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
)

// Family is a metric whose values are read where they are kept when somebody
// asks for them.
type Family struct {
	Name, Help string
	Labels     []string
	// Gauge tells that the value may fall; otherwise it only grows.
	Gauge bool
}

// Emit takes one value of a family, with a text for each of its labels.
type Emit func(f *Family, value float64, labels ...string)

// What is counted as it happens.
var (
	requestsFamily = Family{Name: "watchword_requests_total", Help: "Calls answered, by method and code.", Labels: []string{"method", "code"}}
	secondsFamily  = Family{Name: "watchword_request_seconds", Help: "How long calls took, by method; a stream counts from its beginning to its end.", Labels: []string{"method"}}
	defenceFamily  = Family{Name: "watchword_defence_total", Help: "What the defences noticed (detected), and what they stopped (mitigated).", Labels: []string{"defence", "outcome"}}
	storeFamily    = Family{Name: "watchword_store_seconds", Help: "How long calls of the store took, by operation and whether it failed.", Labels: []string{"operation", "outcome"}}
	waitFamily     = Family{Name: "watchword_hashing_wait_seconds", Help: "How long hashes that a caller waits for waited for a slot."}
	runFamily      = Family{Name: "watchword_hashing_run_seconds", Help: "How long those hashes took in their slot."}
)

// buckets reach from a list look-up to a call that is given up.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// defences are the names that Defence takes; any other counts as "other".
var defences = []string{"access", "admission", "breach", "corpus", "guess", "hash_cost", "must_change", "policy", "proof", "quota", "size", "throttle"}

// Metrics keeps what is counted as calls come and go. The series of a method
// are found once and kept, so that a call allocates nothing for them.
type Metrics struct {
	registry *prometheus.Registry
	families []*Family

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	methods  sync.Map // name to *method
	defence  map[string]*[2]prometheus.Counter
	store    *prometheus.HistogramVec
	wait     prometheus.Histogram
	run      prometheus.Histogram
}

// method holds the series of one method.
type method struct {
	name    string
	seconds prometheus.Observer
	codes   [codes.Unauthenticated + 1]atomic.Pointer[prometheus.Counter]
}

// NewMetrics makes the metrics of one server. read is called at each scrape and
// gives the values of the further families.
func NewMetrics(families []*Family, read func(Emit)) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), defence: make(map[string]*[2]prometheus.Counter)}
	m.families = append([]*Family{&requestsFamily, &secondsFamily, &defenceFamily, &storeFamily, &waitFamily, &runFamily}, families...)
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: requestsFamily.Name, Help: requestsFamily.Help}, requestsFamily.Labels)
	m.seconds = histograms(secondsFamily)
	m.store = histograms(storeFamily)
	m.wait = prometheus.NewHistogram(histogramOf(waitFamily))
	m.run = prometheus.NewHistogram(histogramOf(runFamily))
	noticed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: defenceFamily.Name, Help: defenceFamily.Help}, defenceFamily.Labels)
	for _, name := range append([]string{"other"}, defences...) {
		m.defence[name] = &[2]prometheus.Counter{noticed.WithLabelValues(name, "detected"), noticed.WithLabelValues(name, "mitigated")}
	}
	m.registry.MustRegister(m.requests, m.seconds, m.store, m.wait, m.run, noticed, newReader(families, read),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func histogramOf(f Family) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: f.Name, Help: f.Help, Buckets: buckets}
}

func histograms(f Family) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogramOf(f), f.Labels)
}

// Families lists the metrics of this program; those of the Go runtime and of
// the process come besides.
func (m *Metrics) Families() []*Family { return m.families }

// Bounds of a scrape.
const (
	scrapesAtOnce = 2
	scrapeTimeout = 10 * time.Second
)

// Handler answers scrapes. It guards nothing: whoever puts it behind a door
// does.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout,
	})
}

func (m *Metrics) ended(name string, code codes.Code, took time.Duration) {
	found, ok := m.methods.Load(name)
	if !ok {
		label := shortMethod(name)
		found, _ = m.methods.LoadOrStore(name, &method{name: label, seconds: m.seconds.WithLabelValues(label)})
	}
	of := found.(*method)
	if int(code) >= len(of.codes) {
		code = codes.Unknown
	}
	counter := of.codes[code].Load()
	if counter == nil {
		c := m.requests.WithLabelValues(of.name, code.String())
		counter = &c
		of.codes[code].Store(counter)
	}
	(*counter).Inc()
	of.seconds.Observe(took.Seconds())
}

// shortMethod is a method's name as the metrics spell it.
func shortMethod(full string) string {
	return strings.TrimPrefix(strings.TrimPrefix(full, "/"), "watchword.v1.")
}

func (m *Metrics) noticed(name string, mitigated bool) {
	d := m.defence[name]
	if d == nil {
		d = m.defence["other"]
	}
	// What is stopped was noticed first.
	d[0].Inc()
	if mitigated {
		d[1].Inc()
	}
}

// reader turns what the rooms of the house count by themselves into metrics.
type reader struct {
	descs map[*Family]*prometheus.Desc
	read  func(Emit)
}

func newReader(families []*Family, read func(Emit)) *reader {
	r := &reader{descs: make(map[*Family]*prometheus.Desc), read: read}
	for _, f := range families {
		r.descs[f] = prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
	}
	return r
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It runs on a goroutine of the
// library's, where a panic would end the server.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	broken := func(err error) {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	defer func() {
		if recover() != nil {
			broken(errors.New("reading the values panicked"))
		}
	}()
	r.read(func(f *Family, value float64, labels ...string) {
		kind := prometheus.CounterValue
		if f.Gauge {
			kind = prometheus.GaugeValue
		}
		d, ok := r.descs[f]
		if !ok {
			broken(errors.New(f.Name + " is not among the families"))
			return
		}
		one, err := prometheus.NewConstMetric(d, kind, value, labels...)
		if err != nil {
			broken(errors.New(f.Name + " was given other labels than it has"))
			return
		}
		ch <- one
	})
}
