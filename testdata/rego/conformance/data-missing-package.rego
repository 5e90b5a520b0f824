# opa: true
package t

result if not data.nope.deny
