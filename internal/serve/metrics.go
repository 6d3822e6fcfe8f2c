package serve

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// metrics are what the server counts.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	pictures *prometheus.CounterVec
	waited   *prometheus.HistogramVec
	ran      *prometheus.HistogramVec
	batch    *prometheus.HistogramVec
}

// meter is what is counted of one model.
type meter struct {
	waited, ran, batch prometheus.Observer
	ok, failed         prometheus.Counter // pictures
}

func newMetrics() *metrics {
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 16) // to 16 s
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resnet_run_request_seconds", Help: "Time of a request, from its head to the last byte of the answer.", Buckets: seconds}, []string{"route", "code"}),
		pictures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "resnet_run_pictures_total", Help: "Pictures that were asked about, by what came of them."}, []string{"model", "outcome"}),
		waited:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resnet_run_wait_seconds", Help: "Time that a picture waits for its batch.", Buckets: seconds}, []string{"model"}),
		ran:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resnet_run_batch_seconds", Help: "Time of a batch on the device, with its transfers.", Buckets: seconds}, []string{"model"}),
		batch:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "resnet_run_batch_pictures", Help: "Pictures in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}, []string{"model"}),
	}
	m.registry.MustRegister(m.requests, m.pictures, m.waited, m.ran, m.batch, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) meter(model string) *meter {
	return &meter{
		waited: m.waited.WithLabelValues(model), ran: m.ran.WithLabelValues(model), batch: m.batch.WithLabelValues(model),
		ok: m.pictures.WithLabelValues(model, "ok"), failed: m.pictures.WithLabelValues(model, "failed"),
	}
}

// count counts a picture.
func (m *meter) count(err error) {
	if err != nil {
		m.failed.Inc()
		return
	}
	m.ok.Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// timed measures the requests of a route.
func (m *metrics) timed(route string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start, c := stopwatch.Now(), &coded{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			m.requests.WithLabelValues(route, strconv.Itoa(c.code)).Observe(stopwatch.Since(start).Seconds())
		}()
		h(c, r)
	}
}

// coded remembers the code of an answer.
type coded struct {
	http.ResponseWriter
	code int
}

func (c *coded) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController and http.MaxBytesReader find the writer below.
func (c *coded) Unwrap() http.ResponseWriter { return c.ResponseWriter }
