package t

result := {1, 2} - {1}
