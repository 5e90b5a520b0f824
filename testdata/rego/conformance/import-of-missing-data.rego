# opa: true
package t

import data.cfg.limits

result if not limits
