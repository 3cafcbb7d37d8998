Feature: Discovery in any order
  A colony comes together whichever of its programs is started first.

  Scenario: The queen first
    Given the registry is started
    And the queen is started
    When the worker "w1" with the model "echo:first" is started by hand
    And its spawner notifies the queen
    Then the queen lists the worker "w1" at once
    And the queen answers a request for "echo:first"
    And the worker "w1" speaks to the queen itself

  Scenario: Workers first, and inference without a queen
    Given the registry is started
    When the worker "w1" with the model "demo" is started by hand
    Then the registry lists the worker "w1"
    And its spawner finds no queen to notify
    And a client that knows only the registry gets an answer of "demo"
    When the queen is started
    Then the queen lists the worker "w1"
    And the queen answers a request for "demo"
    And the worker "w1" speaks to the queen itself
    And the worker "w1" is still the same process

  Scenario: Several workers, mixed
    Given the registry is started
    And the worker "w1" with the model "demo" is started by hand
    And the queen is started
    When the hive "alpha" is started
    And the hive "alpha" starts the worker "w2" with the model "echo:two"
    And the worker "w3" with the model "echo:three" is started by hand
    And its spawner notifies the queen
    Then the queen lists the workers "w1", "w2", "w3"
    And the registry lists the workers "w1", "w2", "w3"
    And the queen answers a request for "demo"
    And the queen answers a request for "echo:two"
    And the queen answers a request for "echo:three"
    And the queen lists the workers "w1", "w2", "w3"

  Scenario: The registry is down, and the fast path alone brings workers
    Given heartbeats every second
    And the queen is started
    And the hive "alpha" is started with the queen's address
    When the worker "w1" with the model "echo:one" is started by hand
    And its spawner notifies the queen
    Then the queen lists the worker "w1" at once
    And the queen answers a request for "echo:one"
    When the hive "alpha" starts the worker "w2" with the model "echo:two"
    Then the queen answers a request for "echo:two"
    When the registry is started
    Then the registry lists the queen and the hive "alpha"
    And the registry lists the workers "w1", "w2"
    And the queen lists the workers "w1", "w2"

  Scenario Outline: The <first> first, then the <second>, then the <third>
    Given heartbeats every second
    When the <first> is started
    And the <second> is started
    And the <third> is started
    Then the registry lists the queen and the hive "alpha"
    And the queen hears the hive "alpha"
    And the queen answers a request for "echo:any"

    Examples:
      | first        | second       | third        |
      | registry     | queen        | hive "alpha" |
      | registry     | hive "alpha" | queen        |
      | queen        | registry     | hive "alpha" |
      | queen        | hive "alpha" | registry     |
      | hive "alpha" | registry     | queen        |
      | hive "alpha" | queen        | registry     |
