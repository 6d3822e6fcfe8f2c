package profile

// Trace is the Chrome trace of a profile, which Perfetto and chrome://tracing open: the JSON object format of the Trace
// Event Format (Google, "Trace Event Format", the section JSON Object Format). Times are microseconds.
type Trace struct {
	Events          []Event           `json:"traceEvents"`
	DisplayTimeUnit string            `json:"displayTimeUnit"` // "ms" or "ns"
	OtherData       map[string]string `json:"otherData,omitempty"`
}

// Event is one event of a trace.
type Event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`            // X: complete, C: counter, M: metadata
	Time     float64        `json:"ts"`            // microseconds
	Duration *float64       `json:"dur,omitempty"` // of a complete event
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// NewTrace lays the steps end to end, with a counter for the arithmetic achieved. The process is named for the device, its
// one thread for the network.
func NewTrace(p *Profile, device, network string, about map[string]string) Trace {
	t := Trace{DisplayTimeUnit: "ms", OtherData: about}
	for _, m := range [][2]string{{"process_name", device}, {"thread_name", network}} {
		t.Events = append(t.Events, Event{Name: m[0], Phase: "M", Process: 1, Thread: 1, Args: map[string]any{"name": m[1]}})
	}
	nodes := map[string]*Node{}
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.Op != "" {
			nodes[n.Name] = n
		}
	}
	now := 0.0
	for _, s := range p.Steps {
		e := Event{Name: s.Node, Category: "other", Phase: "X", Time: now, Process: 1, Thread: 1, Args: map[string]any{"kernel": s.Kernel}}
		if s.Node == "" {
			e.Name = s.Kernel
		}
		rate := 0.0
		if n := nodes[s.Node]; n != nil {
			rate = n.FLOPsPerSecond / 1e9
			e.Category = n.Kind
			for key, v := range map[string]any{
				"op": n.Op, "reason": n.Reason, "FLOP": n.FLOPs, "bytes": n.Bytes, "GFLOP/s": rate, "GB/s": n.BytesPerSecond / 1e9, "limited by": n.Roof, "share of roof": n.RoofShare,
			} {
				e.Args[key] = v
			}
		}
		micros := 1e6 * s.Seconds
		e.Duration = &micros
		t.Events = append(t.Events, e, Event{Name: "GFLOP/s", Phase: "C", Time: now, Process: 1, Thread: 1, Args: map[string]any{"GFLOP/s": rate}})
		now += micros
	}
	t.Events = append(t.Events, Event{Name: "GFLOP/s", Phase: "C", Time: now, Process: 1, Thread: 1, Args: map[string]any{"GFLOP/s": 0}})
	return t
}
