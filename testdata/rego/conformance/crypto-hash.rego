# opa: "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
package t

result := crypto.sha256("a")
