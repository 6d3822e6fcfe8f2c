// Package serve answers HTTP requests with what networks say of pictures.
//
// # Routes
//
//	POST /classify                   pictures, as they are or as a form: what is on them, as the command classify says it
//	GET  /                           a page to drop pictures on
//	GET  /v2, /v2/models/NAME        facts, in the form of the Open Inference Protocol
//	POST /v2/models/NAME/infer       tensors, in the form of the Open Inference Protocol, as JSON or with binary tensors
//	GET  /v2/health/live, .../ready  health, for the server and for a model
//	GET  /metrics                    counts and times, for Prometheus
//
// The protocol is that of KServe, version 2 (https://github.com/kserve/open-inference-protocol), with Triton's extension for binary
// tensors, so that clients for either can ask.
//
// # Batches
//
// Pictures of all requests wait in one queue for each network. A device that is free takes as many of them as its batch has room for: alone
// a picture runs at once, under load batches fill by themselves. The queue is bounded, and a request that does not fit is refused
// with 503 before its pictures are decoded. Whoever goes away while waiting leaves the queue.
//
// # What it does not do
//
// There is no encryption, no login and no limit by client: it listens on this machine alone unless told otherwise, and something else
// should stand between it and strangers.
package serve
