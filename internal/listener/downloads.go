package listener

import "dialtone/internal/service"

// What a listener offers to browsers is the web service's; whoever starts a listener
// needs no more of that than these.
type (
	// Downloads are the files that whoever comes by browser may fetch.
	Downloads = service.Downloads
	// Download is one of them.
	Download = service.Download
	// WebConn is the connection that a browser's request came by.
	WebConn = service.WebConn
)

// NewDownloads offers these files.
func NewDownloads(files []Download) (*Downloads, error) { return service.NewDownloads(files) }

// IsDownloadName reports whether a file can be offered by its name as it is.
func IsDownloadName(name string) bool { return service.IsDownloadName(name) }
