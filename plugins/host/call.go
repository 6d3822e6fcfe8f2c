package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// codec is that of gRPC, but tells of messages that are none.
type codec struct {
	encoding.CodecV2
	violated func(error)
}

func newCodec(violated func(error)) codec { return codec{encoding.GetCodecV2(proto.Name), violated} }

// Unmarshal decodes a message.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	if err != nil {
		c.violated(fmt.Errorf("it sent %T that cannot be decoded: %w", v, err))
	}
	return err
}

// result is what the caller is told of a call that returned err.
func (p *process) result(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	settle(ctx, err)
	if p.isEnding() {
		return p.gone()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	decoded := wire.DecodeError(err)
	var remote *wire.RemoteError
	switch {
	case errors.As(decoded, &remote) && strings.HasPrefix(remote.Message, "grpc: received message larger than max"):
		p.violated(fmt.Errorf("it sent a message of more than %d bytes", wire.MaxMessageBytes))
		return p.gone()
	case errors.Is(decoded, wire.ErrDisconnected):
		select { // the connection breaks a moment before the process is gone
		case <-p.child.ended:
		case <-time.After(grace):
			p.end(fmt.Errorf("the connection broke: %w", decoded))
		}
		return p.gone()
	}
	return decoded
}

// gone is the error of a call to a process that is gone or going.
func (p *process) gone() error {
	p.mu.Lock()
	asked := p.asked
	p.mu.Unlock()
	if asked {
		return fmt.Errorf("plugin %q: %w", p.plugin.Name, backend.ErrClosed)
	}
	return p.exited(context.Background())
}

// alive is nil or why the process can no longer be used.
func (p *process) alive() error {
	if p.isEnding() {
		return p.gone()
	}
	select {
	case <-p.child.ended:
		return p.gone()
	default:
		return nil
	}
}

// newID is a number for an object, never used twice.
func (p *process) newID() uint64 { return p.ids.Add(1) }

// answered reports whether err came from the plugin, or nil did: then nothing of the call is left in it.
func (p *process) answered(ctx context.Context, err error) bool {
	settle(ctx, err)
	return err == nil || ctx.Err() == nil && !p.isEnding()
}

// settle waits for a deadline that is just passing: the plugin's side of gRPC keeps it too, and its clock may be the first.
func settle(ctx context.Context, err error) {
	if code := status.Code(err); code != codes.Canceled && code != codes.DeadlineExceeded {
		return
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) < time.Second {
		<-ctx.Done()
	}
}

// due makes a call whose answer is due: a plugin that owes it longer than the host has patience is ended. The caller may
// give up before.
func (p *process) due(caller context.Context, what string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, p.o.Limits.Patience)
	defer cancel()
	err := call(ctx)
	settle(ctx, err)
	if err != nil && ctx.Err() != nil && caller.Err() == nil && !p.isEnding() {
		p.end(fmt.Errorf("it did not answer within %v: %s", p.o.Limits.Patience, what))
	}
	return p.result(caller, err)
}

// later makes such a call in the background: that is how a plugin is found to hang after a call that the caller has
// given up. Errors that the plugin answers are no matter.
func (p *process) later(what string, call func(context.Context) error, done func()) {
	p.mu.Lock()
	if p.ending {
		p.mu.Unlock()
		done()
		return
	}
	p.probes.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.probes.Done()
		defer done()
		_ = p.due(context.Background(), what, call)
	}()
}

// closeObject closes an object in the plugin, which waits for the calls that use it.
func (p *process) closeObject(id uint64) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := p.client.Close(ctx, &pb.CloseRequest{Object: id})
		return err
	}
}

// forget closes an object of which it is not known whether it was made, since the call that makes it had no answer.
func (p *process) forget(what string, id uint64) {
	p.later("the end of "+what+" that was given up", p.closeObject(id), func() {})
}

// wordsAfter are the process's last words to be appended to a reason.
func (c *child) wordsAfter() string {
	if words := c.log.words(); words != "" {
		return fmt.Sprintf("; its last words: %q", words)
	}
	return ""
}
