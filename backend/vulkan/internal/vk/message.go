package vk

// #include <stdint.h>
import "C"

import (
	"fmt"
	"sync"
)

// Severity ranks a message.
type Severity int

// Severities that are reported.
const (
	SeverityWarning Severity = iota + 1
	SeverityError
)

// String returns "warning" or "error".
func (s Severity) String() string {
	switch s {
	case SeverityWarning:
		return "warning"
	case SeverityError:
		return "error"
	default:
		return fmt.Sprintf("Severity(%d)", int(s))
	}
}

// Message is a report of the validation layer, the loader or a driver.
type Message struct {
	Severity Severity
	ID       string // such as VUID-vkCmdDispatch-None-02697; may be empty
	Text     string
}

// String returns the message on one line.
func (m Message) String() string { return fmt.Sprintf("%s %s: %s", m.Severity, m.ID, m.Text) }

// handlers are those of all open instances, by the instance they belong to.
var handlers struct {
	sync.RWMutex
	of map[*Instance]func(Message)
}

func addHandler(i *Instance, f func(Message)) {
	handlers.Lock()
	defer handlers.Unlock()
	if handlers.of == nil {
		handlers.of = map[*Instance]func(Message){}
	}
	handlers.of[i] = f
}

func removeHandler(i *Instance) {
	handlers.Lock()
	defer handlers.Unlock()
	delete(handlers.of, i)
}

// rrMessage receives every message, on the thread and within the Vulkan call it
// is about. The result 1 makes the layer skip a faulty call, which then returns
// ErrValidationFailed where it returns anything: going on has been seen to end
// in a crash inside the driver.
//
//export rrMessage
func rrMessage(severity, types C.uint32_t, id, text *C.char) C.uint32_t {
	m := Message{Severity: SeverityWarning, Text: C.GoString(text)}
	if id != nil {
		m.ID = C.GoString(id)
	}
	if severity >= 0x1000 { // VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT
		m.Severity = SeverityError
	}
	handlers.RLock()
	defer handlers.RUnlock()
	for _, f := range handlers.of {
		f(m)
	}
	if m.Severity == SeverityError {
		return 1
	}
	return 0
}
