Feature: A program ends without warning and is started again
  Nothing else has to be restarted, and requests that do not need it are not disturbed.

  Scenario Outline: The queen is killed and comes back <where>
    Given the registry is started
    And the queen is started
    And the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:long?delay_ms=50&tokens=160"
    And the worker "w2" with the model "echo:short" is started by hand
    And the queen lists the workers "w1", "w2"
    When a client streams an answer straight from the worker "w1"
    And the queen is killed
    And the queen is started again <where>
    Then within 10 seconds of her start the queen routes to the workers "w1", "w2"
    And the queen answers a request for "echo:short"
    And the stream comes to its end, with words while the queen was away
    And the worker "w1" is still the same process
    And the workers "w1", "w2" speak to the queen themselves

    Examples:
      | where                |
      | where she was        |
      | at another port      |

  Scenario: The queen is killed and comes back where there is no registry
    Given the queen is started
    And the hive "alpha" is started with the queen's address
    And the hive "alpha" starts the worker "w1" with the model "echo:one"
    When the queen is killed
    And the queen is started again where she was
    Then within 10 seconds of her start the queen routes to the workers "w1"
    And the queen answers a request for "echo:one"

  Scenario: The hive is killed and finds its workers again
    Given heartbeats every second
    And the registry is started
    And the queen is started
    And the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:one"
    And the hive "alpha" starts the worker "w2" with the model "demo"
    When the hive "alpha" is killed
    And the hive "alpha" is started again
    Then the hive "alpha" measures the workers "w1", "w2"
    And the queen lists the workers "w1", "w2" as online
    And the worker "w1" is still the same process
    And the worker "w2" is still the same process
    And the queen answers a request for "demo"
    When the worker "w1" is stopped through the hive "alpha"
    Then the queen lists the workers "w2"

  Scenario: A worker that a restarted hive has found lives on without a queen
    Given heartbeats every second
    And workers that stop after 2 seconds without hive and queen
    And the registry is started
    And the queen is started
    And the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:one"
    When the hive "alpha" is killed
    And the hive "alpha" is started again
    And the queen lists the worker "w1" as online
    And the queen is killed
    Then for 5 seconds the worker "w1" does not stop
    When the queen is started again where she was
    Then the queen lists the worker "w1" as online
    And the worker "w1" is still the same process

  Scenario: The registry is killed, and all register again when it is back
    Given heartbeats every second
    And the registry is started
    And the queen is started
    And the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:one"
    And the worker "w2" with the model "echo:two" is started by hand
    And the queen lists the workers "w1", "w2"
    And a client that knows only the registry gets an answer of "echo:two"
    When the registry is killed
    Then a client that knows only the registry still gets an answer of "echo:two"
    And the queen answers a request for "echo:one"
    And the queen answers a request for "echo:two"
    And after all leases would have ended the queen still lists the workers "w1", "w2"
    When the registry is started again
    Then the registry lists the queen and the hive "alpha"
    And the registry lists the workers "w1", "w2"
