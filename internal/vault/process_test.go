package vault_test

const childVariable = "BANKAUTH_VAULT_TEST_CHILD"

func child() int { return 0 }
