package host

import (
	"context"
	"fmt"
	"time"

	"github.com/resnet-run/resnet-run/internal/machine"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// healthService is the name under which a plugin tells its health.
const healthService = "plugin"

// memoryInterval is the time between two looks at a process's memory.
const memoryInterval = 250 * time.Millisecond

// watch looks after the process until it is gone.
func (p *process) watch() {
	memory, pulse := time.NewTicker(memoryInterval), time.NewTicker(p.o.Limits.Health)
	defer memory.Stop()
	defer pulse.Stop()
	client := health.NewHealthClient(p.conn)
	pid, most := p.child.processID(), p.o.Limits.Memory
	checked := make(chan error, 1)
	asking := false
	for {
		select {
		case <-p.child.ended:
			return
		case <-memory.C:
			if used := resident(pid); most > 0 && used > most {
				p.end(fmt.Errorf("it used %s of memory, more than the %s that RESNET_RUN_PLUGIN_MEMORY allows", mebibytes(used), mebibytes(most)))
			}
		case err := <-checked:
			asking = false
			if err != nil && !p.isEnding() {
				p.end(err)
			}
		case <-pulse.C:
			if !asking {
				asking = true
				go func() { checked <- p.checkHealth(client) }()
			}
		}
	}
}

// checkHealth asks the plugin how it is.
func (p *process) checkHealth(client health.HealthClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.Limits.Patience)
	defer cancel()
	r, err := client.Check(ctx, &health.HealthCheckRequest{Service: healthService})
	settle(ctx, err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it did not answer within %v: health check", p.o.Limits.Patience)
	case err != nil:
		select { // the process may be about to end, and says better why
		case <-p.child.ended:
			return nil
		case <-time.After(grace):
			return fmt.Errorf("health check: %w", err)
		}
	case r.GetStatus() != health.HealthCheckResponse_SERVING:
		return fmt.Errorf("health check: want SERVING, got %v", r.GetStatus())
	}
	return nil
}

// resident is how much memory a process has in use, in bytes; 0 when it cannot be told.
func resident(pid int) int64 {
	n, err := machine.Resident(pid)
	if err != nil {
		return 0
	}
	return n
}
