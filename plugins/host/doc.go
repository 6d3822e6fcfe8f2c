// Package host runs plugins: it finds them, checks that they are the ones the user trusts, starts them on first use,
// watches over them and offers each as a plain [backend.Backend]. docs/plugins.md is the manual for users,
// docs/plugin-protocol.md that of the protocol.
//
// # Glossary
//
//   - Manifest: a file that says what a plugin is called, which files it has and how it is started.
//   - Lock file: what the user has trusted: for each plugin the checksums of its manifest and of every file that is run.
//   - Process: one running plugin. It ends by itself, with its host, or because it misbehaves.
//   - Region: memory that host and process have both mapped, through which tensors go.
//
// # Life cycle
//
// [Find] reads manifests and starts nothing; [Trust] pins checksums; [New] makes a backend of a trusted plugin. Its
// process starts when devices are listed or opened for the first time. When the process is gone, everything that was
// made on it returns an error that is [backend.ErrPluginExited]; listing or opening devices again starts another, after a
// pause that doubles, until it has died too often. [Backend.Close] ends the process.
//
// # What it does not do
//
// It confines nothing: a plugin runs with the rights of the user, who has trusted it. It repeats no work that was lost
// with a process; that is for the caller to decide.
package host
